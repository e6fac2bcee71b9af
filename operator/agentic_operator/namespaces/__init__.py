"""What a namespace needs before runs start in it: accounts, Secrets, database logins."""
