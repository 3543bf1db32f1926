# Resources for training jobs on Vertex AI (`onnxlet train --on vertex`): the account that a job runs as, its bucket and
# the repository of its image. The command itself submits the jobs. Permissions on data are in rights.tf.

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

# Writing logs is a job's only permission on the project; it cannot be limited to one log.
resource "google_project_iam_member" "training_logs" {
  count = var.training ? 1 : 0

  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.training[0].member
}

# Training data, and the results of runs: checkpoints, the report, TensorBoard's files.
resource "google_storage_bucket" "training" {
  count = var.training ? 1 : 0

  name                        = "${local.bucket_prefix}-training"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.delete_data
  labels                      = var.labels

  versioning {
    enabled = false # checkpoints are large, and each replaces the previous one
  }

  soft_delete_policy {
    retention_duration_seconds = 0 # otherwise every replaced checkpoint is billed for a week
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [time_sleep.key]
}

# Vertex AI pulls the image with its own service agent, never with the job's account; the agent may read all repositories
# of its project. infra/README.md says what an image in another project needs. `terraform destroy` deletes the repository
# with its images, while training.yaml on AWS keeps its repository.
resource "google_artifact_registry_repository" "training" {
  count = var.training ? 1 : 0

  location      = var.region
  repository_id = "${var.name}-training"
  description   = "Images of training/Dockerfile"
  format        = "DOCKER"
  kms_key_name  = var.kms_key
  labels        = var.labels

  docker_config {
    immutable_tags = true # a repeated job uses the same image
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
