# The APIs, Google's own service agents, and what those must be allowed to do for us.

locals {
  apis = concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudfunctions.googleapis.com",
      "cloudresourcemanager.googleapis.com", # the project's number, and rights on it
      "eventarc.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com", # signs the URLs of answers that are too large to send
      "monitoring.googleapis.com",
      "pubsub.googleapis.com",
      "run.googleapis.com",
      "storage.googleapis.com",
      "workflows.googleapis.com",
      "workflowexecutions.googleapis.com",
    ],
    var.training ? ["aiplatform.googleapis.com"] : [],
    var.kms_key == null ? [] : ["cloudkms.googleapis.com"],
  )
}

resource "google_project_service" "apis" {
  for_each = toset(local.apis)

  project            = var.project
  service            = each.value
  disable_on_destroy = false # others in the project may use it
}

data "google_project" "this" {
  project_id = var.project
  depends_on = [google_project_service.apis]
}

data "google_storage_project_service_account" "this" {
  project    = var.project
  depends_on = [google_project_service.apis]
}

locals {
  agent_domain  = "iam.gserviceaccount.com"
  storage_agent = data.google_storage_project_service_account.this.member
  pubsub_agent  = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.${local.agent_domain}"

  # Who encrypts and decrypts with the deployer's own key, where there is one.
  key_users = var.kms_key == null ? {} : {
    storage   = local.storage_agent
    pubsub    = local.pubsub_agent
    registry  = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-artifactregistry.${local.agent_domain}"
    functions = "serviceAccount:service-${data.google_project.this.number}@gcf-admin-robot.${local.agent_domain}"
    run       = "serviceAccount:service-${data.google_project.this.number}@serverless-robot-prod.${local.agent_domain}"
    eventarc  = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-eventarc.${local.agent_domain}"
    workflows = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-workflows.${local.agent_domain}"
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = local.key_users

  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value
  depends_on    = [google_project_service.apis]
}
