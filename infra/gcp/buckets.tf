# The buckets. All are private: no access lists of single objects, and no public access even if somebody grants it. Cloud
# Storage accepts only TLS. The rights on the buckets are in rights.tf.
#
# An existing bucket keeps its rules and its versions. It only gets the rights in rights.tf, and an input bucket also a
# notification.

locals {
  bucket_prefix = "${var.project}-${var.name}" # bucket names are global

  registry_prefix = "registry/"
  models_prefix   = "${local.registry_prefix}models/"
  blobs_prefix    = "${local.registry_prefix}blobs/"
  aliases_prefix  = "${local.registry_prefix}models/{model}/aliases/"
  results_prefix  = "results/" # for objects and messages
  answers_prefix  = "answers/" # for requests: answers that are too large to send, quotas, captured samples

  # Objects of requests that are useless a day later: the URL of a response is valid for an hour, a quota for a day.
  daily_prefixes = ["${local.answers_prefix}responses/", "${local.answers_prefix}quota/"]

  message_days     = 7  # how long a message waits for its answer
  dead_letter_days = 31 # how long a dead letter waits; Pub/Sub's limit

  existing = { for variable, name in {
    registry_bucket = var.registry_bucket
    input_bucket    = var.input_bucket
    results_bucket  = var.results_bucket
  } : variable => name if name != null }

  registry = coalesce(var.registry_bucket, one(google_storage_bucket.registry[*].name))
  inputs   = coalesce(var.input_bucket, one(google_storage_bucket.inputs[*].name))
  results  = coalesce(var.results_bucket, one(google_storage_bucket.results[*].name))

  registry_url = "gs://${local.registry}/${trimsuffix(local.registry_prefix, "/")}"
  results_url  = "gs://${local.results}/${trimsuffix(local.results_prefix, "/")}"
  answers_url  = "gs://${local.results}/${trimsuffix(local.answers_prefix, "/")}"
  input_url    = trimsuffix("gs://${local.inputs}/${var.input_prefix}", "/")
}

# Read in the plan, before anything is made.
data "google_storage_bucket" "existing" {
  for_each = local.existing

  name = each.value

  lifecycle {
    precondition {
      condition     = length(distinct(values(local.existing))) == length(local.existing)
      error_message = "${each.key}: expected a bucket of its own, got ${each.value}, which another of registry_bucket, input_bucket and results_bucket names, too."
    }
    precondition {
      condition     = (each.key != "input_bucket" || var.input_days == null) && (each.key != "results_bucket" || var.result_days == null)
      error_message = "${each.key}: expected no input_days or result_days with it: what is deleted from ${each.value} is up to its own lifecycle rules."
    }
    postcondition {
      condition     = self.uniform_bucket_level_access
      error_message = "${each.key}: expected a bucket with uniform bucket-level access, without which rights cannot be bounded to a prefix; got ${each.value}."
    }
    postcondition {
      condition     = each.key != "input_bucket" || !local.has_eventarc || lower(self.location) == var.region
      error_message = "input_bucket: with object_events eventarc expected a bucket in ${var.region}, got ${each.value} in ${self.location}; object_events = \"pubsub\" takes any."
    }
  }
}

resource "google_storage_bucket" "registry" {
  count = var.registry_bucket == null ? 1 : 0

  name                        = "${local.bucket_prefix}-registry"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.delete_data
  labels                      = var.labels

  versioning {
    enabled = true # an alias that was moved by mistake, or a deleted version, can be brought back
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 30
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [time_sleep.key]
}

resource "google_storage_bucket" "inputs" {
  count = var.input_bucket == null ? 1 : 0

  name                        = "${local.bucket_prefix}-inputs"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.delete_data
  labels                      = var.labels

  versioning {
    enabled = true # an event names a generation, which is still there if its object was replaced meanwhile
  }

  soft_delete_policy {
    retention_duration_seconds = 0 # versions replace it, and deleted objects must be gone
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = local.message_days + local.dead_letter_days + 1 # until the last dead letter can be answered
    }
    action {
      type = "Delete"
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.input_days == null ? [] : [var.input_days]
    content {
      condition {
        age        = lifecycle_rule.value
        with_state = "ANY" # including versions: an object becomes noncurrent, and is deleted the next day
      }
      action {
        type = "Delete"
      }
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [time_sleep.key]
}

resource "google_storage_bucket" "results" {
  count = var.results_bucket == null ? 1 : 0

  name                        = "${local.bucket_prefix}-results"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.delete_data
  labels                      = var.labels

  versioning {
    enabled = false # a result is only ever created
  }

  soft_delete_policy {
    retention_duration_seconds = 0 # Google's default keeps and bills deleted objects for a week
  }

  lifecycle_rule {
    condition {
      age            = 1
      matches_prefix = local.daily_prefixes
    }
    action {
      type = "Delete"
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.result_days == null ? [] : [var.result_days]
    content {
      condition {
        age = lifecycle_rule.value # including captured samples
      }
      action {
        type = "Delete"
      }
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [time_sleep.key]
}

# The functions' source, from which Cloud Build makes their image.
resource "google_storage_bucket" "source" {
  name                        = "${local.bucket_prefix}-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # it only holds the zip, which `onnxlet package` can make again
  labels                      = var.labels

  versioning {
    enabled = false # each zip has a name of its own
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [time_sleep.key]
}

resource "google_storage_bucket_object" "source" {
  name   = "functions-${filemd5(var.source_zip)}.zip" # a new name rebuilds the functions
  bucket = google_storage_bucket.source.name
  source = var.source_zip
}
