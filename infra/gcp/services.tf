# The APIs, Google's own service agents, and what those must be allowed to do for us.
#
# In a new project much of this takes effect only after a while: an API that was switched on, an agent that was created, a
# right that was granted. Each `time_sleep` below waits once, when it is created, for what its comment names.

locals {
  # Without these nothing can be asked about the project. They stay apart from the others: a later deploy that needs one
  # more API would otherwise read the project's number anew, and replace every right that has the number in it.
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
  disable_on_destroy = false # others in the project may use it
}

resource "google_project_service" "apis" {
  for_each = toset(local.apis)

  project            = var.project
  service            = each.value
  disable_on_destroy = false
  depends_on         = [google_project_service.first]
}

# An API answers everywhere a minute after it was switched on.
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

  # The agents that act here. Google makes an agent when its service is first used, which is too late: what is made then
  # fails, and so does a right that is granted before. An agent that was asked for has no role; so the usual one is here.
  # Source: IAM, "Create and grant roles to service agents"; terraform-provider-google #14584, #15572.
  agents = {
    pubsub    = { service = "pubsub", account = local.pubsub_agent }
    eventarc  = { service = "eventarc", account = "serviceAccount:service-${local.number}@gcp-sa-eventarc.${local.agent_domain}" }
    registry  = { service = "artifactregistry", account = "serviceAccount:service-${local.number}@gcp-sa-artifactregistry.${local.agent_domain}" }
    functions = { service = "cloudfunctions", account = "serviceAccount:service-${local.number}@gcf-admin-robot.${local.agent_domain}" }
    run       = { service = "run", account = "serviceAccount:service-${local.number}@serverless-robot-prod.${local.agent_domain}" }
    workflows = { service = "workflows", account = "serviceAccount:service-${local.number}@gcp-sa-workflows.${local.agent_domain}" }
  }

  # Who encrypts and decrypts with the deployer's own key, where there is one.
  key_users = var.kms_key == null ? {} : merge({ storage = local.storage_agent }, { for name, agent in local.agents : name => agent.account })

  # An agent belongs to the whole project. With a condition, which always holds, a right is one of this deployment:
  # destroying it takes nothing from another deployment, nor what Google granted by itself.
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

# IAM knows a new agent after some seconds.
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

# What is encrypted can be made when its agent may use the key; without a key there is nothing to wait for.
resource "time_sleep" "key" {
  create_duration = var.kms_key == null ? "0s" : "60s"
  triggers        = { key = coalesce(var.kms_key, "none") }
  depends_on      = [time_sleep.apis, google_kms_crypto_key_iam_member.agents]
}

# A function is built and its trigger is checked the moment that it is created, with all of these rights; a workflow is
# refused while its agent has none.
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
