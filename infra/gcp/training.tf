# A place for training jobs on Vertex AI, for `onnxlet train --on vertex`: whom a job runs as, what it reads and writes,
# and where its image is. The jobs themselves are submitted by the command. Rights on data are in rights.tf.

locals {
  data_prefix = "data/"
  runs_prefix = "runs/"
}

resource "google_service_account" "training" {
  count = var.training ? 1 : 0

  account_id   = "${var.name}-training"
  display_name = "${var.name}: trains on Vertex AI and publishes to the registry"
  depends_on   = [time_sleep.apis]
}

# Logs are the one right that a job has on the project; a log takes no narrower one.
resource "google_project_iam_member" "training_logs" {
  count = var.training ? 1 : 0

  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.training[0].member
}

# Data to train on, and what runs leave: checkpoints, the report, curves.
resource "google_storage_bucket" "training" {
  count = var.training ? 1 : 0

  name                        = "${local.bucket_prefix}-training"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.delete_data
  labels                      = var.labels

  versioning {
    enabled = false # checkpoints are large, and each replaces the one before
  }

  soft_delete_policy {
    retention_duration_seconds = 0 # or every checkpoint that was replaced would be billed for a week
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [time_sleep.key]
}

# Vertex AI fetches the image as a service agent of its own, never as the job's account, and that agent may read all
# repositories of its project. infra/README.md says what an image of another project needs. What is here goes with
# `terraform destroy`, images included; training.yaml on AWS keeps its repository.
resource "google_artifact_registry_repository" "training" {
  count = var.training ? 1 : 0

  location      = var.region
  repository_id = "${var.name}-training"
  description   = "Images of training/Dockerfile"
  format        = "DOCKER"
  kms_key_name  = var.kms_key
  labels        = var.labels

  docker_config {
    immutable_tags = true # a job is run again with the image that it was run with
  }

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
      older_than = "7776000s" # 90 days
    }
  }

  depends_on = [time_sleep.key]
}
