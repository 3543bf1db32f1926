# Events: the input bucket and other publishers -> a topic -> the function -> a result; or, after max_delivery_attempts,
# a dead letter that waits for a month.

resource "google_pubsub_topic" "messages" {
  name         = "${var.name}-messages"
  kms_key_name = var.kms_key
  labels       = var.labels
  depends_on   = [time_sleep.key]
}

resource "google_pubsub_topic" "again" {
  name         = "${var.name}-again"
  kms_key_name = var.kms_key
  labels       = var.labels
  depends_on   = [time_sleep.key]
}

resource "google_pubsub_topic" "dead_letters" {
  name         = "${var.name}-dead-letters"
  kms_key_name = var.kms_key
  labels       = var.labels
  depends_on   = [time_sleep.key]
}

resource "google_pubsub_subscription" "messages" {
  name                       = "${var.name}-messages"
  topic                      = google_pubsub_topic.messages.id
  ack_deadline_seconds       = var.timeout_s + 30 # longer than the function's timeout, or Pub/Sub would deliver twice
  message_retention_duration = "${local.message_days * 86400}s"
  labels                     = var.labels

  expiration_policy {
    ttl = "" # never, even if nobody publishes
  }

  push_config {
    # functions-framework reads the topic's name from the path for the CloudEvent's source.
    push_endpoint = "${google_cloudfunctions2_function.messages.service_config[0].uri}/${google_pubsub_topic.messages.id}"

    oidc_token {
      service_account_email = google_service_account.events.email
      audience              = google_cloudfunctions2_function.messages.service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = var.max_delivery_attempts
  }
}

# Without a subscription dead letters would be lost at once.
resource "google_pubsub_subscription" "dead_letters" {
  name                       = "${var.name}-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  ack_deadline_seconds       = 60
  message_retention_duration = "${local.dead_letter_days * 86400}s"
  labels                     = var.labels

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_topic_iam_member" "pubsub_writes_dead_letters" {
  topic      = google_pubsub_topic.dead_letters.name
  role       = "roles/pubsub.publisher"
  member     = local.pubsub_agent
  depends_on = [time_sleep.agents]
}

resource "google_pubsub_subscription_iam_member" "pubsub_moves_dead_letters" {
  subscription = google_pubsub_subscription.messages.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
  depends_on   = [time_sleep.agents]
}

# The input bucket's notifications, through the subscription above.

resource "google_pubsub_topic_iam_member" "storage_tells" {
  topic  = google_pubsub_topic.messages.name
  role   = "roles/pubsub.publisher"
  member = local.storage_agent
}

resource "google_storage_notification" "inputs" {
  count = local.has_eventarc ? 0 : 1

  bucket             = local.inputs
  topic              = google_pubsub_topic.messages.id
  event_types        = ["OBJECT_FINALIZE"]
  object_name_prefix = var.input_prefix == "" ? null : var.input_prefix
  payload_format     = "JSON_API_V1" # functions-framework rejects a pushed message without data
  depends_on         = [google_pubsub_topic_iam_member.storage_tells]
}

# The same for Eventarc. Its topic is created with the function, so no narrower right can be granted before.
resource "google_project_iam_member" "storage_tells_eventarc" {
  count = local.has_eventarc ? 1 : 0

  project    = var.project
  role       = "roles/pubsub.publisher"
  member     = local.storage_agent
  depends_on = [time_sleep.apis]

  condition {
    title      = local.own_right.title
    expression = local.own_right.expression
  }
}
