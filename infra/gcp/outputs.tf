# The outputs, for people, for `onnxlet deploy` and for `onnxlet train --on vertex`.

output "http_url" {
  description = "The URL of the HTTP function."
  value       = google_cloudfunctions2_function.http.service_config[0].uri
}

output "registry_url" {
  description = "The registry: onnxlet publish --registry URL."
  value       = local.registry_url
}

output "input_url" {
  description = "The place whose new objects are answered."
  value       = local.input_url
}

output "results_url" {
  description = "The place of the results for objects and messages."
  value       = local.results_url
}

output "messages_topic" {
  description = "The topic whose messages are answered: payloads, or notifications of Cloud Storage."
  value       = google_pubsub_topic.messages.id
}

output "again_topic" {
  description = "The topic to publish dead letters to, for another attempt."
  value       = google_pubsub_topic.again.id
}

output "dead_letter_subscription" {
  description = "The subscription with the messages that could not be answered."
  value       = google_pubsub_subscription.dead_letters.name
}

output "functions" {
  description = "The functions' names by their entry points."
  value = merge(
    {
      gcp_http    = google_cloudfunctions2_function.http.name
      gcp_message = google_cloudfunctions2_function.messages.name
    },
    { for function in google_cloudfunctions2_function.objects : "gcp_objects" => function.name },
  )
}

output "batch_workflow" {
  description = "The workflow that answers all objects under a prefix."
  value       = google_workflows_workflow.batch.name
}

output "dashboard_id" {
  description = "The dashboard in Cloud Monitoring."
  value       = google_monitoring_dashboard.this.id
}

output "training_service_account" {
  description = "The service account for onnxlet train --on vertex --role; null without `training`."
  value       = one(google_service_account.training[*].email)
}

output "training_url" {
  description = "The place of training data (data/) and runs (runs/); null without `training`."
  value       = one(google_storage_bucket.training[*].url)
}

output "training_repository" {
  description = "The beginning of the names of training images; null without `training`."
  value       = one([for repository in google_artifact_registry_repository.training : "${var.region}-docker.pkg.dev/${var.project}/${repository.repository_id}"])
}

# All variables, so that the next `onnxlet deploy`, from any machine, changes only what it names. Without those that
# every deployment sets anyway: source_zip, project, region and name.
output "settings" {
  description = "The current variables, which `onnxlet deploy` keeps."
  value = {
    access                 = var.access
    alert_email            = var.alert_email
    alert_error_ratio      = var.alert_error_ratio
    alert_oldest_message_s = var.alert_oldest_message_s
    alert_p95_ms           = var.alert_p95_ms
    alert_p99_ms           = var.alert_p99_ms
    allow_unauthenticated  = var.allow_unauthenticated
    base_path              = var.base_path
    capture_inputs         = var.capture_inputs
    capture_share          = var.capture_share
    concurrency            = var.concurrency
    cors_origins           = var.cors_origins
    cpu                    = var.cpu
    delete_data            = var.delete_data
    edge                   = var.edge
    explain_runs           = var.explain_runs
    generate_length        = var.generate_length
    http_inputs            = var.http_inputs
    ingress                = var.ingress
    input_bucket           = var.input_bucket
    input_days             = var.input_days
    input_prefix           = var.input_prefix
    invokers               = var.invokers
    kms_key                = var.kms_key
    labels                 = var.labels
    max_delivery_attempts  = var.max_delivery_attempts
    max_event_instances    = var.max_event_instances
    max_instances          = var.max_instances
    memory_mib             = var.memory_mib
    min_instances          = var.min_instances
    model                  = var.model
    notification_channels  = var.notification_channels
    object_events          = var.object_events
    public_keys            = var.public_keys
    refresh_s              = var.refresh_s
    registry_bucket        = var.registry_bucket
    result_days            = var.result_days
    results_bucket         = var.results_bucket
    runtime                = var.runtime
    timeout_s              = var.timeout_s
    training               = var.training
    variant                = var.variant
    vpc_connector          = var.vpc_connector
    vpc_egress             = var.vpc_egress
    vpc_network            = var.vpc_network
    vpc_subnetwork         = var.vpc_subnetwork
  }
}
