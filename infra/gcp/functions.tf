# The functions: one source, and for each function an entry point of functions/main.py.
#
# CPU boost at start is not configured: Cloud Functions switches it on (run.googleapis.com/startup-cpu-boost on the
# service), and this resource has no argument for it.

locals {
  has_eventarc   = var.object_events == "eventarc"
  has_direct_vpc = var.vpc_network != null || var.vpc_subnetwork != null

  # The settings of all functions. Three are left out on purpose: ONNXLET_CACHE and ONNXLET_CACHE_MIB, since an
  # instance's disk is in its memory, where a cache would keep each model twice; and ONNXLET_PREFETCH, since a server
  # that forks its workers fetches nothing ahead.
  settings = {
    ONNXLET_REGISTRY       = local.registry_url
    ONNXLET_MODEL          = var.model
    ONNXLET_VARIANT        = var.variant
    ONNXLET_PUBLIC_KEYS    = join(",", var.public_keys)
    ONNXLET_REFRESH_S      = tostring(var.refresh_s)
    ONNXLET_TIMEOUT_S      = tostring(var.timeout_s)
    ONNXLET_CAPTURE        = tostring(var.capture_share)
    ONNXLET_CAPTURE_INPUTS = var.capture_inputs ? "1" : null
    ONNXLET_MEMORY_MIB     = tostring(floor(var.memory_mib / 2)) # the rest is for Python, requests and tensors
    GOOGLE_CLOUD_PROJECT   = var.project                         # with it, log lines find their traces
    THREADS                = tostring(local.concurrency)         # requests above the threads of functions-framework would wait unseen
  }

  http_settings = {
    ONNXLET_ACCESS          = var.access == "open" ? null : var.access
    ONNXLET_BASE_PATH       = var.base_path
    ONNXLET_CORS_ORIGINS    = join(",", var.cors_origins)
    ONNXLET_EDGE            = var.edge ? "1" : null
    ONNXLET_EXPLAIN_RUNS    = tostring(var.explain_runs)
    ONNXLET_GENERATE_LENGTH = tostring(var.generate_length)
    ONNXLET_RESULTS         = local.answers_url
    ONNXLET_INPUTS          = join(",", [for prefix in var.http_inputs : "gs://${local.inputs}/${prefix}"])
  }

  event_settings = {
    ONNXLET_RESULTS = local.results_url
  }

  http_environment  = { for name, value in merge(local.settings, local.http_settings) : name => value if value != null && value != "" }
  event_environment = { for name, value in merge(local.settings, local.event_settings) : name => value if value != null && value != "" }

  # The memory in MiB that Cloud Run accepts for each number of CPUs.
  # Source: Cloud Run, "Configure CPU limits for services", table of CPUs and memory.
  cpu_memory = {
    "1" = { least = 512, most = 4096 }
    "2" = { least = 512, most = 8192 }
    "4" = { least = 2048, most = 16384 }
    "6" = { least = 4096, most = 24576 }
    "8" = { least = 4096, most = 32768 }
  }
  cpu         = coalesce(var.cpu, min([for cpu, memory in local.cpu_memory : tonumber(cpu) if var.memory_mib >= memory.least && var.memory_mib <= memory.most]...))
  cpu_needs   = local.cpu_memory[tostring(local.cpu)]
  concurrency = coalesce(var.concurrency, 4 * local.cpu)
}

# The images that Cloud Build makes of the source.
resource "google_artifact_registry_repository" "functions" {
  location      = var.region
  repository_id = "${var.name}-functions"
  description   = "Images of ${var.name}'s functions, made by Cloud Build"
  format        = "DOCKER"
  kms_key_name  = var.kms_key
  labels        = var.labels

  cleanup_policies {
    id     = "keep-the-latest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 5
    }
  }

  cleanup_policies {
    id     = "delete-the-others"
    action = "DELETE"
    condition {
      older_than = "2592000s" # 30 days
    }
  }

  depends_on = [time_sleep.key]
}

resource "google_cloudfunctions2_function" "http" {
  name         = "${var.name}-http"
  location     = var.region
  description  = "Answers HTTP requests with ONNX models"
  kms_key_name = var.kms_key
  labels       = var.labels

  build_config {
    runtime           = var.runtime
    entry_point       = "gcp_http"
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.functions.id

    environment_variables = {
      GOOGLE_FUNCTION_SIGNATURE_TYPE = "http" # as main.py registers it; the trigger does not set it
    }

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.http.email
    environment_variables            = local.http_environment
    available_memory                 = "${var.memory_mib}Mi"
    available_cpu                    = tostring(local.cpu)
    max_instance_request_concurrency = local.concurrency
    min_instance_count               = var.min_instances
    max_instance_count               = var.max_instances
    timeout_seconds                  = var.timeout_s
    ingress_settings                 = var.ingress
    vpc_connector                    = var.vpc_connector
    vpc_connector_egress_settings    = var.vpc_connector == null ? null : var.vpc_egress
    direct_vpc_egress                = local.has_direct_vpc ? "VPC_EGRESS_${var.vpc_egress}" : null
    all_traffic_on_latest_revision   = true

    dynamic "direct_vpc_network_interface" {
      for_each = local.has_direct_vpc ? [1] : []
      content {
        network    = var.vpc_network
        subnetwork = var.vpc_subnetwork
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.min_instances <= var.max_instances
      error_message = "min_instances: expected no more than max_instances."
    }
    precondition {
      condition     = !(local.has_direct_vpc && var.vpc_connector != null)
      error_message = "vpc_connector: expected no connector beside vpc_network and vpc_subnetwork, which need none."
    }
    precondition {
      condition     = var.memory_mib >= local.cpu_needs.least && var.memory_mib <= local.cpu_needs.most
      error_message = "cpu: with ${local.cpu}, Cloud Run takes ${local.cpu_needs.least} to ${local.cpu_needs.most} MiB, got memory_mib ${var.memory_mib}; without cpu the number follows from the memory."
    }
  }

  depends_on = [time_sleep.rights]
}

# Messages of Pub/Sub: payloads, and notifications of the input bucket.
resource "google_cloudfunctions2_function" "messages" {
  name         = "${var.name}-messages"
  location     = var.region
  description  = "Answers messages of Pub/Sub, and the objects that they tell of, each with a result object"
  kms_key_name = var.kms_key
  labels       = var.labels

  build_config {
    runtime           = var.runtime
    entry_point       = "gcp_message"
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.functions.id

    environment_variables = {
      GOOGLE_FUNCTION_SIGNATURE_TYPE = "cloudevent" # as main.py registers it; the trigger does not set it
    }

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.messages.email
    environment_variables            = local.event_environment
    available_memory                 = "${var.memory_mib}Mi"
    available_cpu                    = tostring(local.cpu)
    max_instance_request_concurrency = local.concurrency
    min_instance_count               = 0
    max_instance_count               = var.max_event_instances
    timeout_seconds                  = var.timeout_s
    ingress_settings                 = "ALLOW_INTERNAL_ONLY" # which includes Pub/Sub and Eventarc of this project
    vpc_connector                    = var.vpc_connector
    vpc_connector_egress_settings    = var.vpc_connector == null ? null : var.vpc_egress
    direct_vpc_egress                = local.has_direct_vpc ? "VPC_EGRESS_${var.vpc_egress}" : null
    all_traffic_on_latest_revision   = true

    dynamic "direct_vpc_network_interface" {
      for_each = local.has_direct_vpc ? [1] : []
      content {
        network    = var.vpc_network
        subnetwork = var.vpc_subnetwork
      }
    }
  }

  # The subscription that a trigger makes supports no dead letters (terraform-provider-google #17697, #25069). So the
  # trigger is for a separate topic, for messages that must be answered again, and the other messages come through the
  # subscription in events.tf.
  event_trigger {
    trigger_region        = var.region
    event_type            = "google.cloud.pubsub.topic.v1.messagePublished"
    pubsub_topic          = google_pubsub_topic.again.id
    service_account_email = google_service_account.events.email
    retry_policy          = "RETRY_POLICY_RETRY"
  }

  depends_on = [time_sleep.rights]
}

# Objects of the input bucket through Eventarc, instead of the subscription in events.tf.
resource "google_cloudfunctions2_function" "objects" {
  count = local.has_eventarc ? 1 : 0

  name         = "${var.name}-objects"
  location     = var.region
  description  = "Answers new objects of the input bucket, each with a result object"
  kms_key_name = var.kms_key
  labels       = var.labels

  build_config {
    runtime           = var.runtime
    entry_point       = "gcp_objects"
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.functions.id

    environment_variables = {
      GOOGLE_FUNCTION_SIGNATURE_TYPE = "cloudevent" # as main.py registers it; the trigger does not set it
    }

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.objects[0].email
    environment_variables            = local.event_environment
    available_memory                 = "${var.memory_mib}Mi"
    available_cpu                    = tostring(local.cpu)
    max_instance_request_concurrency = local.concurrency
    min_instance_count               = 0
    max_instance_count               = var.max_event_instances
    timeout_seconds                  = var.timeout_s
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    vpc_connector                    = var.vpc_connector
    vpc_connector_egress_settings    = var.vpc_connector == null ? null : var.vpc_egress
    direct_vpc_egress                = local.has_direct_vpc ? "VPC_EGRESS_${var.vpc_egress}" : null
    all_traffic_on_latest_revision   = true

    dynamic "direct_vpc_network_interface" {
      for_each = local.has_direct_vpc ? [1] : []
      content {
        network    = var.vpc_network
        subnetwork = var.vpc_subnetwork
      }
    }
  }

  event_trigger {
    trigger_region        = var.region
    event_type            = "google.cloud.storage.object.v1.finalized"
    service_account_email = google_service_account.events.email
    retry_policy          = "RETRY_POLICY_RETRY" # for 24 hours, Eventarc's limit

    event_filters {
      attribute = "bucket"
      value     = local.inputs
    }
  }

  lifecycle {
    precondition {
      condition     = var.input_prefix == ""
      error_message = "input_prefix: Eventarc cannot tell objects by a prefix; object_events = \"pubsub\" can."
    }
  }

  depends_on = [time_sleep.rights]
}
