# A batch over many objects: a workflow lists them and publishes a message for each, which the messages' function answers
# like any other message, with the same bound on instances, the same retries and the same dead letters.

resource "google_workflows_workflow" "batch" {
  name                = "${var.name}-batch"
  region              = var.region
  description         = "Has all objects under a prefix of the input bucket answered"
  service_account     = google_service_account.batch.id
  crypto_key_name     = var.kms_key
  labels              = var.labels
  deletion_protection = false # it holds no data
  source_contents     = file("${path.module}/batch.yaml")

  user_env_vars = {
    INPUT_BUCKET = local.inputs
    INPUT_PREFIX = var.input_prefix
    TOPIC        = google_pubsub_topic.messages.id
  }

  depends_on = [time_sleep.rights]
}

resource "google_pubsub_topic_iam_member" "batch_publishes" {
  topic  = google_pubsub_topic.messages.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.batch.member
}
