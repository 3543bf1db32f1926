"""GCP: the Terraform configuration in `infra/gcp`, applied with a state for each deployment."""
