# The APIs, Google's service agents, and the rights that these agents need.
#
# In a new project APIs, agents and rights take effect only after a while. Each `time_sleep` below waits once, when it is
# created, for what its comment names.

locals {
  # Without these APIs the project cannot be read. They are separate from the others: otherwise a later deployment that
  # needs one more API would read the project's number again, and replace every right that contains the number.
  first_apis = ["cloudresourcemanager.googleapis.com", "storage.googleapis.com"]

  apis = concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudfunctions.googleapis.com",
      "eventarc.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com", # signs the URLs of answers that are too large to send
      "monitoring.googleapis.com",
      "pubsub.googleapis.com",
      "run.googleapis.com",
      "workflows.googleapis.com",
      "workflowexecutions.googleapis.com",
    ],
    var.training ? ["aiplatform.googleapis.com"] : [],
    var.kms_key == null ? [] : ["cloudkms.googleapis.com"],
  )
}

resource "google_project_service" "first" {
  for_each = toset(local.first_apis)

  project            = var.project
  service            = each.value
  disable_on_destroy = false # others in the project may use the API
}

resource "google_project_service" "apis" {
  for_each = toset(local.apis)

  project            = var.project
  service            = each.value
  disable_on_destroy = false
  depends_on         = [google_project_service.first]
}

# An API works everywhere a minute after it was switched on.
resource "time_sleep" "apis" {
  create_duration = "60s"
  depends_on      = [google_project_service.first, google_project_service.apis]
}

data "google_project" "this" {
  project_id = var.project
  depends_on = [google_project_service.first]
}

data "google_storage_project_service_account" "this" {
  project    = var.project
  depends_on = [google_project_service.first]
}

locals {
  number        = data.google_project.this.number
  agent_domain  = "iam.gserviceaccount.com"
  storage_agent = data.google_storage_project_service_account.this.member
  pubsub_agent  = "serviceAccount:service-${local.number}@gcp-sa-pubsub.${local.agent_domain}"

  # The agents that are needed here. Google makes an agent when its service is first used, which is too late: the first
  # resource fails, and so does a right that is granted before. An agent made here has no role, so it gets the usual one.
  # Source: IAM, "Create and grant roles to service agents"; terraform-provider-google #14584, #15572.
  agents = {
    pubsub    = { service = "pubsub", account = local.pubsub_agent }
    eventarc  = { service = "eventarc", account = "serviceAccount:service-${local.number}@gcp-sa-eventarc.${local.agent_domain}" }
    registry  = { service = "artifactregistry", account = "serviceAccount:service-${local.number}@gcp-sa-artifactregistry.${local.agent_domain}" }
    functions = { service = "cloudfunctions", account = "serviceAccount:service-${local.number}@gcf-admin-robot.${local.agent_domain}" }
    run       = { service = "run", account = "serviceAccount:service-${local.number}@serverless-robot-prod.${local.agent_domain}" }
    workflows = { service = "workflows", account = "serviceAccount:service-${local.number}@gcp-sa-workflows.${local.agent_domain}" }
  }

  # The accounts that encrypt and decrypt with the operator's own key, if there is one.
  key_users = var.kms_key == null ? {} : merge({ storage = local.storage_agent }, { for name, agent in local.agents : name => agent.account })

  # An agent belongs to the whole project. A condition that is always true makes a right specific to this deployment:
  # destroying it takes no right from another deployment, and none that Google granted.
  own_right = {
    title      = "granted for ${var.name}"
    expression = "request.time > timestamp(\"2020-01-01T00:00:00Z\")"
  }
}

# Only the beta provider has this resource. Creating an agent that exists changes nothing, and nothing deletes one.
resource "google_project_service_identity" "agents" {
  provider = google-beta
  for_each = local.agents

  project    = var.project
  service    = "${each.value.service}.googleapis.com"
  depends_on = [time_sleep.apis]
}

# A new agent is known to IAM after some seconds.
resource "time_sleep" "agents" {
  create_duration = "30s"
  depends_on      = [google_project_service_identity.agents]
}

resource "google_project_iam_member" "agents" {
  for_each = local.agents

  project    = var.project
  role       = "roles/${each.value.service}.serviceAgent"
  member     = each.value.account
  depends_on = [time_sleep.agents]

  condition {
    title      = local.own_right.title
    expression = local.own_right.expression
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = local.key_users

  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value
  depends_on    = [time_sleep.agents]

  condition {
    title      = local.own_right.title
    expression = local.own_right.expression
  }
}

# An encrypted resource can be made once its agent may use the key; without a key nothing waits.
resource "time_sleep" "key" {
  create_duration = var.kms_key == null ? "0s" : "60s"
  triggers        = { key = coalesce(var.kms_key, "none") }
  depends_on      = [time_sleep.apis, google_kms_crypto_key_iam_member.agents]
}

# Google builds a function and checks its trigger at once when it is created, which needs all of these rights; a
# workflow is refused until its agent has its right.
resource "time_sleep" "rights" {
  create_duration = "90s"
  triggers        = { object_events = var.object_events }

  depends_on = [
    google_artifact_registry_repository_iam_member.build_pushes,
    google_project_iam_member.agents,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_reads_copy,
    google_project_iam_member.events_receive,
    google_project_iam_member.storage_tells_eventarc,
    google_service_account_iam_member.pubsub_signs_as_events,
    google_storage_bucket_iam_member.grants,
  ]
}
