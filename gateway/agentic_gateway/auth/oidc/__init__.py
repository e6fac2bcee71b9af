"""Log-in by OpenID Connect: the authorization code flow with PKCE against one provider."""
