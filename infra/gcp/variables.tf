# The variables. Only `project`, `region` and `source_zip` have no default.

# The place.

variable "project" {
  description = "The project's id."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project: expected a project's id (6 to 30 of a-z, 0-9 and '-'), not its name or its number."
  }
}

variable "region" {
  description = "The region of functions and buckets, such as europe-west1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: expected one region, such as europe-west1: events come from buckets of the functions' own region alone."
  }
}

variable "name" {
  description = "The beginning of the names of all resources; a project may have several deployments."
  type        = string
  default     = "onnxlet"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 20 of a-z, 0-9 and '-', beginning with a letter: a service account's id takes no more."
  }
}

variable "labels" {
  description = "Labels for all resources that can have some, for instance to separate costs."
  type        = map(string)
  default     = {}
  nullable    = false
}

# The functions and their settings; docs/serving.md explains the settings.

variable "source_zip" {
  description = "The zip that `onnxlet package --cloud gcp` wrote."
  type        = string

  validation {
    condition     = endswith(var.source_zip, ".zip")
    error_message = "source_zip: expected the path of a zip; `onnxlet package --cloud gcp` writes one to dist/."
  }
}

variable "runtime" {
  description = "The runtime of Cloud Functions."
  type        = string
  default     = "python313"

  validation {
    condition     = can(regex("^python3(1[1-9])$", var.runtime))
    error_message = "runtime: expected python311 or later, as Google names it: python313."
  }
}

variable "model" {
  description = "The model that is loaded at start, and used if a request or an object names no model (ONNXLET_MODEL)."
  type        = string
  default     = null

  validation {
    condition     = var.model == null || can(regex("^[a-z0-9][a-z0-9._-]{0,62}$", var.model))
    error_message = "model: expected 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit."
  }
}

variable "variant" {
  description = "The variant that is loaded if a version has it: int8, pruned, student (ONNXLET_VARIANT)."
  type        = string
  default     = null
}

variable "refresh_s" {
  description = "The largest age of an alias in seconds; 0 reads the registry at every request (ONNXLET_REFRESH_S)."
  type        = number
  default     = 60

  validation {
    condition     = var.refresh_s >= 0 && var.refresh_s <= 1000000000
    error_message = "refresh_s: expected seconds from 0 to 1000000000."
  }
}

variable "public_keys" {
  description = "Public keys of publishers, as `onnxlet models NAME` shows them: only versions that one of them signed are loaded (ONNXLET_PUBLIC_KEYS). Without keys, the default, all are."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for key in var.public_keys : can(regex("^[A-Za-z0-9+/]{43}=$", key))])
    error_message = "public_keys: expected Ed25519 public keys, each 32 bytes as base64."
  }
}

variable "capture_share" {
  description = "The share of answers that are sampled for `onnxlet drift`: labels, probabilities and measures of the inputs, stored under the results; never a payload (ONNXLET_CAPTURE)."
  type        = number
  default     = 0

  validation {
    condition     = var.capture_share >= 0 && var.capture_share <= 1
    error_message = "capture_share: expected a share from 0 to 1."
  }
}

variable "capture_inputs" {
  description = "Whether the samples of capture_share include the model's input tensors (ONNXLET_CAPTURE_INPUTS)."
  type        = bool
  default     = false
}

variable "explain_runs" {
  description = "The most rows that one explanation may run through the model; 0 turns explanations off (ONNXLET_EXPLAIN_RUNS)."
  type        = number
  default     = 2000

  validation {
    condition     = var.explain_runs == 0 || (var.explain_runs >= 3 && var.explain_runs <= 10000 && floor(var.explain_runs) == var.explain_runs)
    error_message = "explain_runs: expected 0, or a whole number from 3 to 10000."
  }
}

variable "generate_length" {
  description = "The most tokens that one request may send, and the most that it may generate; 0 turns generation off (ONNXLET_GENERATE_LENGTH)."
  type        = number
  default     = 1024

  validation {
    condition     = var.generate_length >= 0 && var.generate_length <= 4096 && floor(var.generate_length) == var.generate_length
    error_message = "generate_length: expected a whole number from 0 to 4096."
  }
}

variable "http_inputs" {
  description = "Prefixes in the input bucket whose objects a request may name, as {\"image_path\": \"gs://...\"} (ONNXLET_INPUTS); none by default."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for prefix in var.http_inputs : can(regex("^[^/,\\s][^,\\s]*/$", prefix))])
    error_message = "http_inputs: expected prefixes that end with '/', without spaces and commas, such as photos/."
  }
}

variable "input_prefix" {
  description = "The prefix of the new objects in the input bucket that are answered; by default all objects."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.input_prefix == "" || can(regex("^[^/\"\\\\][^\"\\\\]*/$", var.input_prefix))
    error_message = "input_prefix: expected nothing, or a prefix that ends with '/', such as inbox/."
  }
}

# Sizes and numbers.

variable "memory_mib" {
  description = "The memory of an instance, in MiB; loaded models may take half of it (ONNXLET_MEMORY_MIB)."
  type        = number
  default     = 1024

  validation {
    condition     = var.memory_mib >= 512 && var.memory_mib <= 32768 && floor(var.memory_mib) == var.memory_mib
    error_message = "memory_mib: expected 512 to 32768; with a whole CPU Cloud Run gives no less than 512."
  }
}

variable "cpu" {
  description = "The CPUs of an instance: ONNX Runtime's threads. By default as many as Cloud Run requires for memory_mib: 1 up to 4096, 2 up to 8192, 4 up to 16384, 6 up to 24576, else 8."
  type        = number
  default     = null

  validation {
    condition     = var.cpu == null || try(contains([1, 2, 4, 6, 8], var.cpu), false)
    error_message = "cpu: expected 1, 2, 4, 6 or 8. With less than one, an instance answers one request at a time, in a slower sandbox."
  }
}

variable "concurrency" {
  description = "The most requests of an instance at a time; by default as many as functions-framework has threads, 4 for each CPU."
  type        = number
  default     = null

  validation {
    condition     = var.concurrency == null || try(var.concurrency >= 1 && var.concurrency <= 1000, false)
    error_message = "concurrency: expected 1 to 1000."
  }
}

variable "min_instances" {
  description = "Instances of the HTTP function that always run, and are billed, to avoid cold starts."
  type        = number
  default     = 0

  validation {
    condition     = var.min_instances >= 0 && var.min_instances <= 1000
    error_message = "min_instances: expected 0 to 1000."
  }
}

variable "max_instances" {
  description = "The most instances of the HTTP function, which bounds the costs of a flood of requests."
  type        = number
  default     = 20

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000
    error_message = "max_instances: expected 1 to 1000."
  }
}

variable "max_event_instances" {
  description = "The most instances for objects and messages; others wait in the queue."
  type        = number
  default     = 10

  validation {
    condition     = var.max_event_instances >= 1 && var.max_event_instances <= 1000
    error_message = "max_event_instances: expected 1 to 1000."
  }
}

variable "timeout_s" {
  description = "The most seconds that a request or an event may take."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout_s >= 1 && var.timeout_s <= 540
    error_message = "timeout_s: expected 1 to 540; a function that answers events gets no longer."
  }
}

# Callers and networks.

variable "allow_unauthenticated" {
  description = "Whether everybody may call the HTTP function. Otherwise a caller needs an identity token, and to be among `invokers`."
  type        = bool
  default     = false
  nullable    = false
}

variable "invokers" {
  description = "Who may call the HTTP function: user:..., group:..., serviceAccount:..., domain:..."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.invokers : can(regex("^(user|group|serviceAccount|domain|principal|principalSet):.+", member))])
    error_message = "invokers: expected members such as user:ada@example.com; to let everybody in, set allow_unauthenticated."
  }
}

variable "access" {
  description = "open, or keys: every HTTP request needs an API key that `onnxlet keys create` made in the registry, in addition to what Cloud Run requires (ONNXLET_ACCESS)."
  type        = string
  default     = "open"

  validation {
    condition     = contains(["open", "keys"], var.access)
    error_message = "access: expected open or keys."
  }
}

variable "edge" {
  description = "Whether callers of a model may also download its graphs and run them in a browser; `onnxlet edge` installs the runtime for that (ONNXLET_EDGE)."
  type        = bool
  default     = false
}

variable "cors_origins" {
  description = "The origins whose pages may read the HTTP function's answers, such as https://app.example.com, or * alone for all (ONNXLET_CORS_ORIGINS). A browser's preflight has no identity token: it reaches the function with allow_unauthenticated alone, so have API keys asked for by `access`."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.cors_origins : origin == "*" || can(regex("^[a-z][a-z0-9+.-]*://[a-z0-9_.:\\[\\]-]+$", origin))])
    error_message = "cors_origins: expected origins as browsers spell them, such as https://app.example.com: a scheme, a host and perhaps a port, in small letters and without a slash at the end; or * alone."
  }

  validation {
    condition     = !contains(var.cors_origins, "*") || length(var.cors_origins) == 1
    error_message = "cors_origins: expected * alone, for every page, or a list of origins."
  }
}

variable "base_path" {
  description = "The path in front of every route, such as /ml, if a load balancer's rule adds one (ONNXLET_BASE_PATH)."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(/[A-Za-z0-9._~-]+)*$", var.base_path))
    error_message = "base_path: expected a path such as /ml, or nothing."
  }
}

variable "ingress" {
  description = "The origin of requests that reach the HTTP function: ALLOW_ALL, ALLOW_INTERNAL_ONLY or ALLOW_INTERNAL_AND_GCLB (behind a load balancer)."
  type        = string
  default     = "ALLOW_ALL"

  validation {
    condition     = contains(["ALLOW_ALL", "ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB"], var.ingress)
    error_message = "ingress: expected ALLOW_ALL, ALLOW_INTERNAL_ONLY or ALLOW_INTERNAL_AND_GCLB."
  }
}

variable "vpc_connector" {
  description = "A Serverless VPC Access connector (projects/P/locations/R/connectors/C) that the functions send through, and that costs while idle; none by default. vpc_network needs none."
  type        = string
  default     = null
}

variable "vpc_network" {
  description = "A VPC network that the functions send through, without a connector (Direct VPC egress); none by default. With only vpc_subnetwork, the network of that."
  type        = string
  default     = null
}

variable "vpc_subnetwork" {
  description = "The subnetwork of vpc_network, in the region, for the addresses of instances; by default the one with the network's name."
  type        = string
  default     = null
}

variable "vpc_egress" {
  description = "With vpc_connector, vpc_network or vpc_subnetwork: PRIVATE_RANGES_ONLY or ALL_TRAFFIC."
  type        = string
  default     = "PRIVATE_RANGES_ONLY"

  validation {
    condition     = contains(["PRIVATE_RANGES_ONLY", "ALL_TRAFFIC"], var.vpc_egress)
    error_message = "vpc_egress: expected PRIVATE_RANGES_ONLY or ALL_TRAFFIC."
  }
}

# Events.

variable "object_events" {
  description = "The way of the input bucket's events: pubsub (a subscription with dead letters) or eventarc (gcp_objects; dropped after 24 hours of failure)."
  type        = string
  default     = "pubsub"

  validation {
    condition     = contains(["pubsub", "eventarc"], var.object_events)
    error_message = "object_events: expected pubsub or eventarc."
  }
}

variable "max_delivery_attempts" {
  description = "The deliveries of a message before it becomes a dead letter; 20 take about three hours."
  type        = number
  default     = 20

  validation {
    condition     = var.max_delivery_attempts >= 5 && var.max_delivery_attempts <= 100
    error_message = "max_delivery_attempts: expected 5 to 100; Pub/Sub takes no others."
  }
}

# Data and encryption.

variable "kms_key" {
  description = "A Cloud KMS key of the same region that encrypts everything at rest (projects/.../cryptoKeys/...); Google's own by default."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null || can(regex("^projects/.+/locations/.+/keyRings/.+/cryptoKeys/[^/]+$", var.kms_key))
    error_message = "kms_key: expected projects/P/locations/R/keyRings/K/cryptoKeys/C."
  }
}

variable "registry_bucket" {
  description = "An existing bucket that holds the registry, under registry/, instead of a new one. It needs uniform bucket-level access, and stays as it is."
  type        = string
  default     = null

  validation {
    condition     = var.registry_bucket == null || can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", var.registry_bucket))
    error_message = "registry_bucket: expected the name of a bucket, without gs://."
  }
}

variable "input_bucket" {
  description = "An existing bucket whose new objects under input_prefix are answered, instead of a new one. It needs uniform bucket-level access, gets a notification, and otherwise stays as it is."
  type        = string
  default     = null

  validation {
    condition     = var.input_bucket == null || can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", var.input_bucket))
    error_message = "input_bucket: expected the name of a bucket, without gs://."
  }
}

variable "results_bucket" {
  description = "An existing bucket that gets the results, under results/ and answers/, instead of a new one. It needs uniform bucket-level access, and stays as it is: what is to be deleted from it, its own rules must say."
  type        = string
  default     = null

  validation {
    condition     = var.results_bucket == null || can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", var.results_bucket))
    error_message = "results_bucket: expected the name of a bucket, without gs://."
  }
}

variable "input_days" {
  description = "The days after which an input is deleted with all its versions; never by default."
  type        = number
  default     = null

  validation {
    condition     = var.input_days == null || try(var.input_days >= 1, false)
    error_message = "input_days: expected 1 or more."
  }
}

variable "result_days" {
  description = "The days after which results and captured samples are deleted; `onnxlet drift` reads samples of 7 days. Never by default."
  type        = number
  default     = null

  validation {
    condition     = var.result_days == null || try(var.result_days >= 1, false)
    error_message = "result_days: expected 1 or more."
  }
}

variable "delete_data" {
  description = "Whether `terraform destroy` also deletes models, inputs, results and runs. Otherwise it stops at a bucket that is not empty."
  type        = bool
  default     = false
  nullable    = false
}

# Alerts.

variable "alert_email" {
  description = "An address that alerts are sent to; none by default."
  type        = string
  default     = null

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+$", var.alert_email))
    error_message = "alert_email: expected one address."
  }
}

variable "notification_channels" {
  description = "Channels of Cloud Monitoring that exist already (projects/P/notificationChannels/N)."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "alert_error_ratio" {
  description = "The share of HTTP requests within five minutes that end in a server error (5xx), above which there is an alert."
  type        = number
  default     = 0.05

  validation {
    condition     = var.alert_error_ratio > 0 && var.alert_error_ratio < 1
    error_message = "alert_error_ratio: expected a share between 0 and 1."
  }
}

variable "alert_p95_ms" {
  description = "The 95th percentile of the HTTP function's latency, in milliseconds, above which there is an alert."
  type        = number
  default     = 1000

  validation {
    condition     = var.alert_p95_ms > 0
    error_message = "alert_p95_ms: expected more than 0."
  }
}

variable "alert_p99_ms" {
  description = "The 99th percentile, likewise; with few requests it is that of cold starts."
  type        = number
  default     = 5000

  validation {
    condition     = var.alert_p99_ms > 0
    error_message = "alert_p99_ms: expected more than 0."
  }
}

variable "alert_oldest_message_s" {
  description = "How long a message may wait for its answer, in seconds, before there is an alert."
  type        = number
  default     = 900

  validation {
    condition     = var.alert_oldest_message_s >= 60
    error_message = "alert_oldest_message_s: expected 60 or more: Cloud Monitoring looks once a minute."
  }
}

# Training.

variable "training" {
  description = "Whether to make a place for training jobs on Vertex AI: a service account, a bucket and an image repository."
  type        = bool
  default     = false
  nullable    = false
}
