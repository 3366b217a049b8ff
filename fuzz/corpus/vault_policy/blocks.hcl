path "secret/data/+/x*" {
  capabilities = ["read", "list"]
}
# closed
path "secret/data/no" { capabilities = ["deny"] }
