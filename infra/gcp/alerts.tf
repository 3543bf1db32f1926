# The alerts that an operator gets, and a dashboard.

locals {
  channels = concat(var.notification_channels, google_monitoring_notification_channel.email[*].id)

  of_http         = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"${google_cloudfunctions2_function.http.name}\""
  of_functions    = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = starts_with(\"${var.name}-\")"
  of_messages     = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.messages.name}\""
  of_eventarc     = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = starts_with(\"eventarc-${var.region}-${var.name}-\")"
  of_dead_letters = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead_letters.name}\""

  requests    = "metric.type = \"run.googleapis.com/request_count\""
  latencies   = "metric.type = \"run.googleapis.com/request_latencies\"" # in milliseconds
  oldest_age  = "metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
  undelivered = "metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\""
}

resource "google_monitoring_notification_channel" "email" {
  count = var.alert_email == null ? 0 : 1

  display_name = "${var.name}: ${var.alert_email}"
  type         = "email"
  labels       = { email_address = var.alert_email }
  depends_on   = [time_sleep.apis]
}

resource "google_monitoring_alert_policy" "errors" {
  display_name          = "${var.name}: requests fail"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "5xx among all requests"

    condition_threshold {
      filter             = "${local.of_http} AND ${local.requests} AND metric.labels.response_code_class = \"5xx\""
      denominator_filter = "${local.of_http} AND ${local.requests}"
      comparison         = "COMPARISON_GT"
      threshold_value    = var.alert_error_ratio
      duration           = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
      }

      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "More requests than usual end in a 5xx. Each has a log line with its `code`: `gcloud run services logs read ${google_cloudfunctions2_function.http.name} --region ${var.region}`. After a new version: `onnxlet rollback`."
  }

  depends_on = [time_sleep.apis]
}

resource "google_monitoring_alert_policy" "latency" {
  display_name          = "${var.name}: answers are slow"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "95th percentile"

    condition_threshold {
      filter          = "${local.of_http} AND ${local.latencies}"
      comparison      = "COMPARISON_GT"
      threshold_value = var.alert_p95_ms
      duration        = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_PERCENTILE_95"
      }
    }
  }

  conditions {
    display_name = "99th percentile"

    condition_threshold {
      filter          = "${local.of_http} AND ${local.latencies}"
      comparison      = "COMPARISON_GT"
      threshold_value = var.alert_p99_ms
      duration        = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_PERCENTILE_99"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "The header `server-timing` of an answer says which step is slow. Many cold starts: raise `min_instances`. Waiting: lower `concurrency`, or raise `cpu` or `max_instances`."
  }

  depends_on = [time_sleep.apis]
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "${var.name}: there are dead letters"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "messages that were given up"

    condition_threshold {
      filter          = "${local.of_dead_letters} AND ${local.undelivered}"
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Messages failed ${var.max_delivery_attempts} times; why is in the log of `${google_cloudfunctions2_function.messages.name}`. They wait for 31 days; infra/README.md says how to have them answered again."
  }

  depends_on = [time_sleep.apis]
}

resource "google_monitoring_alert_policy" "waiting" {
  display_name          = "${var.name}: messages wait"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "the oldest message"

    condition_threshold {
      filter          = "${local.of_messages} AND ${local.oldest_age}"
      comparison      = "COMPARISON_GT"
      threshold_value = var.alert_oldest_message_s
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  # Eventarc drops an event that it could not deliver within 24 hours.
  conditions {
    display_name = "the oldest event of Eventarc"

    condition_threshold {
      filter          = "${local.of_eventarc} AND ${local.oldest_age}"
      comparison      = "COMPARISON_GT"
      threshold_value = var.alert_oldest_message_s
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "More comes than is answered (raise `max_event_instances`), or it fails: see the log of `${google_cloudfunctions2_function.messages.name}`."
  }

  depends_on = [time_sleep.apis]
}

locals {
  by_function = ["resource.labels.service_name"]

  charts = [
    { title = "Requests by status", filter = "${local.of_http} AND ${local.requests}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.labels.response_code_class"] },
    { title = "Latency, median (ms)", filter = "${local.of_http} AND ${local.latencies}", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_50", by = local.by_function },
    { title = "Latency, 95th percentile (ms)", filter = "${local.of_http} AND ${local.latencies}", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", by = local.by_function },
    { title = "Latency, 99th percentile (ms)", filter = "${local.of_http} AND ${local.latencies}", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_99", by = local.by_function },
    { title = "Cold starts, 95th percentile (ms)", filter = "${local.of_functions} AND metric.type = \"run.googleapis.com/container/startup_latencies\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", by = local.by_function },
    { title = "Instances", filter = "${local.of_functions} AND metric.type = \"run.googleapis.com/container/instance_count\"", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = local.by_function },
    { title = "Memory used, 99th percentile (share)", filter = "${local.of_functions} AND metric.type = \"run.googleapis.com/container/memory/utilizations\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_99", by = local.by_function },
    { title = "Age of the oldest message (s)", filter = "${local.of_messages} AND ${local.oldest_age}", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = [] },
    { title = "Dead letters", filter = "${local.of_dead_letters} AND ${local.undelivered}", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = [] },
  ]

  dashboard = {
    displayName = var.name
    mosaicLayout = {
      columns = 48
      tiles = [
        for index, chart in local.charts : {
          xPos   = 16 * (index % 3)
          yPos   = 12 * floor(index / 3)
          width  = 16
          height = 12
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [
                {
                  plotType = "LINE"
                  timeSeriesQuery = {
                    timeSeriesFilter = {
                      filter = chart.filter
                      aggregation = {
                        alignmentPeriod    = "60s"
                        perSeriesAligner   = chart.aligner
                        crossSeriesReducer = chart.reducer
                        groupByFields      = chart.by
                      }
                    }
                  }
                }
              ]
            }
          }
        }
      ]
    }
  }
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode(local.dashboard)
  depends_on     = [time_sleep.apis]
}
