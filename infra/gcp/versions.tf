# The versions of Terraform and its providers. The arguments in this folder are checked against the providers' published types of these
# versions, by Terraform itself (tests/infra/provider.py).
terraform {
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
    google-beta = { # only creates service agents (services.tf)
      source  = "hashicorp/google-beta"
      version = "~> 8.7"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.14"
    }
  }

  # If several people run Terraform by hand, the state belongs in a bucket:
  #   backend "gcs" {}    and    terraform init -backend-config="bucket=..."
}

provider "google" {
  project = var.project
  region  = var.region
}

provider "google-beta" {
  project = var.project
  region  = var.region
}
