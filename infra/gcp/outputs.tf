# What is there now, for people, for `onnxlet deploy` and for `onnxlet train --on vertex`.

output "http_url" {
  description = "Where the HTTP function answers."
  value       = google_cloudfunctions2_function.http.service_config[0].uri
}

output "registry_url" {
  description = "The registry: onnxlet publish --registry URL."
  value       = local.registry_url
}

output "input_url" {
  description = "Objects that are put here are answered."
  value       = local.input_url
}

output "results_url" {
  description = "Where the answers to objects and messages are."
  value       = local.results_url
}

output "messages_topic" {
  description = "Messages that are published here are answered: payloads, or notifications of Cloud Storage."
  value       = google_pubsub_topic.messages.id
}

output "again_topic" {
  description = "Dead letters that are published here are answered again."
  value       = google_pubsub_topic.again.id
}

output "dead_letter_subscription" {
  description = "Where messages wait that could not be answered."
  value       = google_pubsub_subscription.dead_letters.name
}

output "functions" {
  description = "The functions' names, by their entry points."
  value = merge(
    {
      gcp_http    = google_cloudfunctions2_function.http.name
      gcp_message = google_cloudfunctions2_function.messages.name
    },
    { for function in google_cloudfunctions2_function.objects : "gcp_objects" => function.name },
  )
}

output "batch_workflow" {
  description = "The workflow that has all objects under a prefix answered."
  value       = google_workflows_workflow.batch.name
}

output "dashboard_id" {
  description = "The dashboard in Cloud Monitoring."
  value       = google_monitoring_dashboard.this.id
}

output "training_service_account" {
  description = "For onnxlet train --on vertex --role; null without `training`."
  value       = one(google_service_account.training[*].email)
}

output "training_url" {
  description = "Where training data (data/) and runs (runs/) are; null without `training`."
  value       = one(google_storage_bucket.training[*].url)
}

output "training_repository" {
  description = "What the names of training images begin with; null without `training`."
  value       = one([for repository in google_artifact_registry_repository.training : "${var.region}-docker.pkg.dev/${var.project}/${repository.repository_id}"])
}
