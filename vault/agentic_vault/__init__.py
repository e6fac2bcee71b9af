"""``vault-init``: fetches a connection string from Vault before a pod's own container starts.

It logs in with the pod's service account, reads one secret, writes one file in memory and gives its token back.
Programs that use the file know nothing of Vault (decision 11).
"""
