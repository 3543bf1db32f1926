# What Terraform needs. The arguments in this folder are checked against the provider's published types of 6.50.0
# (tests/infra/test_terraform.py); version 7 has renamed some.
terraform {
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }

  # Where several people deploy, the state belongs in a bucket of its own:
  #   backend "gcs" {}    and    terraform init -backend-config="bucket=..."
}

provider "google" {
  project = var.project
  region  = var.region
}
