"""AWS: a stack of CloudFormation, deployed by the command of AWS SAM."""
