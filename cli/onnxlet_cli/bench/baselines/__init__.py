"""What onnxlet is measured against: small programs and handlers, each as short as those that people deploy."""
