# Access: a service account for each function, and the whole table of their rights on data.
#
# `prefix` limits a right to the objects under it; null is a right on the bucket itself: to list it, never to read an
# object. Listing matters: without it Cloud Storage answers that a missing object is forbidden, and an unknown model
# would be a server error (5xx) instead of the client's (404). The right to create does not include replacing, which
# needs the right to delete. In a prefix, {model} stands for the name of any model. Training publishes and moves aliases;
# it has no access to the API keys (access/) and to the files that browsers run (edge/). An account reads its own results
# because an event may be delivered twice.

resource "google_service_account" "http" {
  account_id   = "${var.name}-http"
  display_name = "${var.name}: answers HTTP requests"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account" "messages" {
  account_id   = "${var.name}-messages"
  display_name = "${var.name}: answers messages, and objects that they tell of"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account" "objects" {
  count = local.has_eventarc ? 1 : 0

  account_id   = "${var.name}-objects"
  display_name = "${var.name}: answers objects by Eventarc"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account" "events" {
  account_id   = "${var.name}-events"
  display_name = "${var.name}: delivers events to the functions; may call them and nothing else"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account" "batch" {
  account_id   = "${var.name}-batch"
  display_name = "${var.name}: lists inputs for a batch; reads none of them"
  depends_on   = [time_sleep.apis]
}

resource "google_service_account" "build" {
  account_id   = "${var.name}-build"
  display_name = "${var.name}: builds the functions"
  depends_on   = [time_sleep.apis]
}

locals {
  lists   = "roles/storage.legacyBucketReader"
  reads   = "roles/storage.objectViewer"
  creates = "roles/storage.objectCreator"
  writes  = "roles/storage.objectUser" # creates, reads, replaces and deletes

  runs = one(google_storage_bucket.training[*].name)

  http     = google_service_account.http.member
  messages = google_service_account.messages.member
  objects  = one(google_service_account.objects[*].member)
  trainer  = one(google_service_account.training[*].member)

  grants = {
    http_lists_registry  = { when = true, who = local.http, role = local.lists, bucket = local.registry, prefix = null }
    http_reads_registry  = { when = true, who = local.http, role = local.reads, bucket = local.registry, prefix = local.registry_prefix }
    http_creates_answers = { when = true, who = local.http, role = local.creates, bucket = local.results, prefix = local.answers_prefix }
    http_reads_answers   = { when = true, who = local.http, role = local.reads, bucket = local.results, prefix = local.answers_prefix }
    http_lists_answers   = { when = var.access == "keys", who = local.http, role = local.lists, bucket = local.results, prefix = null } # the rest of a quota

    messages_lists_registry  = { when = true, who = local.messages, role = local.lists, bucket = local.registry, prefix = null }
    messages_reads_registry  = { when = true, who = local.messages, role = local.reads, bucket = local.registry, prefix = local.registry_prefix }
    messages_lists_inputs    = { when = true, who = local.messages, role = local.lists, bucket = local.inputs, prefix = null }
    messages_reads_inputs    = { when = true, who = local.messages, role = local.reads, bucket = local.inputs, prefix = var.input_prefix }
    messages_creates_results = { when = true, who = local.messages, role = local.creates, bucket = local.results, prefix = local.results_prefix }
    messages_reads_results   = { when = true, who = local.messages, role = local.reads, bucket = local.results, prefix = local.results_prefix }

    objects_lists_registry  = { when = local.has_eventarc, who = local.objects, role = local.lists, bucket = local.registry, prefix = null }
    objects_reads_registry  = { when = local.has_eventarc, who = local.objects, role = local.reads, bucket = local.registry, prefix = local.registry_prefix }
    objects_lists_inputs    = { when = local.has_eventarc, who = local.objects, role = local.lists, bucket = local.inputs, prefix = null }
    objects_reads_inputs    = { when = local.has_eventarc, who = local.objects, role = local.reads, bucket = local.inputs, prefix = var.input_prefix }
    objects_creates_results = { when = local.has_eventarc, who = local.objects, role = local.creates, bucket = local.results, prefix = local.results_prefix }
    objects_reads_results   = { when = local.has_eventarc, who = local.objects, role = local.reads, bucket = local.results, prefix = local.results_prefix }

    batch_lists_inputs = { when = true, who = google_service_account.batch.member, role = local.lists, bucket = local.inputs, prefix = null }

    build_reads_source = { when = true, who = google_service_account.build.member, role = local.reads, bucket = google_storage_bucket.source.name, prefix = "functions-" }

    training_lists_registry = { when = var.training, who = local.trainer, role = local.lists, bucket = local.registry, prefix = null }
    training_reads_models   = { when = var.training, who = local.trainer, role = local.reads, bucket = local.registry, prefix = local.models_prefix }
    training_reads_blobs    = { when = var.training, who = local.trainer, role = local.reads, bucket = local.registry, prefix = local.blobs_prefix }
    training_creates_models = { when = var.training, who = local.trainer, role = local.creates, bucket = local.registry, prefix = local.models_prefix }
    training_creates_blobs  = { when = var.training, who = local.trainer, role = local.creates, bucket = local.registry, prefix = local.blobs_prefix }
    training_moves_aliases  = { when = var.training, who = local.trainer, role = local.writes, bucket = local.registry, prefix = local.aliases_prefix }
    training_lists_runs     = { when = var.training, who = local.trainer, role = local.lists, bucket = local.runs, prefix = null }
    training_reads_data     = { when = var.training, who = local.trainer, role = local.reads, bucket = local.runs, prefix = local.data_prefix }
    training_writes_runs    = { when = var.training, who = local.trainer, role = local.writes, bucket = local.runs, prefix = local.runs_prefix }
  }

  # The objects that a request may name, as the operator configured.
  http_input_grants = merge(
    {
      for prefix in var.http_inputs : "http_reads_inputs_${prefix}" =>
      { when = true, who = local.http, role = local.reads, bucket = local.inputs, prefix = prefix }
    },
    {
      for bucket in length(var.http_inputs) > 0 ? ["inputs"] : [] : "http_lists_${bucket}" =>
      { when = true, who = local.http, role = local.lists, bucket = local.inputs, prefix = null }
    },
  )

  granted = { for name, grant in merge(local.grants, local.http_input_grants) : name => grant if grant.when }

  # In CEL: the name begins with the prefix up to {model}, followed by any model's name.
  conditions = {
    for name, grant in local.granted : name => join(" && ", concat(
      ["resource.name.startsWith(\"projects/_/buckets/${grant.bucket}/objects/${split("{model}", grant.prefix)[0]}\")"],
      length(split("{model}", grant.prefix)) == 1 ? [] : ["resource.name.extract(\"/objects/${grant.prefix}\") != \"\""],
    )) if grant.prefix != null
  }
}

resource "google_storage_bucket_iam_member" "grants" {
  for_each = local.granted

  bucket = each.value.bucket
  role   = each.value.role
  member = each.value.who

  dynamic "condition" {
    for_each = each.value.prefix == null ? [] : [local.conditions[each.key]]
    content {
      title      = "objects under a prefix"
      expression = condition.value
    }
  }
}

# A client reads an answer that is too large to send through a signed URL. The function has no key of its own, so it
# signs as its service account.
resource "google_service_account_iam_member" "http_signs_as_itself" {
  service_account_id = google_service_account.http.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.http.member
}

# Pub/Sub pushes a message with a token of the events' account. Its agent may usually make that token, but not in a
# project from before April 2021, or without the default rights.
resource "google_service_account_iam_member" "pubsub_signs_as_events" {
  service_account_id = google_service_account.events.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
  depends_on         = [time_sleep.agents]
}

# The callers of the functions.

resource "google_cloud_run_v2_service_iam_member" "invokers" {
  for_each = toset(var.invokers)

  location = var.region
  name     = google_cloudfunctions2_function.http.name
  role     = "roles/run.invoker"
  member   = each.value
}

resource "google_cloud_run_v2_service_iam_member" "everybody" {
  count = var.allow_unauthenticated ? 1 : 0

  location = var.region
  name     = google_cloudfunctions2_function.http.name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_cloud_run_v2_service_iam_member" "events_call_messages" {
  location = var.region
  name     = google_cloudfunctions2_function.messages.name
  role     = "roles/run.invoker"
  member   = google_service_account.events.member
}

resource "google_cloud_run_v2_service_iam_member" "events_call_objects" {
  count = local.has_eventarc ? 1 : 0

  location = var.region
  name     = google_cloudfunctions2_function.objects[0].name
  role     = "roles/run.invoker"
  member   = google_service_account.events.member
}

# There is no narrower right to receive Eventarc's events than one on the project.
resource "google_project_iam_member" "events_receive" {
  project = var.project
  role    = "roles/eventarc.eventReceiver"
  member  = google_service_account.events.member
}

# The rights of the build: on the source (above), on the copy that Cloud Functions makes, a log, and one repository.

resource "google_project_iam_member" "build_reads_copy" {
  project = var.project
  role    = local.reads
  member  = google_service_account.build.member

  condition {
    title      = "copies of functions' sources"
    expression = join(" || ", [for end in ["/", "-"] : "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${local.number}-${var.region}${end}\")"]) # with a key, the key's hash follows
  }
}

resource "google_project_iam_member" "build_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "build_pushes" {
  location   = var.region
  repository = google_artifact_registry_repository.functions.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}
