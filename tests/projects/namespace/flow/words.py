WORD = "namespace"
