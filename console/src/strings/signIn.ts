export const strings = {
  title: 'Sign in',
  lead: 'Start workflows, watch them, and answer what they ask.',
  login: 'Continue with your organisation',
  or: 'or',
  token: 'Token',
  tokenHint: 'A token that the cluster takes. It stays in this tab and is sent to this gateway alone.',
  tokenCommand: 'kubectl create token <account> -n <namespace>',
  keep: 'Keep it until this tab is closed',
  signIn: 'Sign in',
  refused: 'The cluster does not take this token. It may have ended, or be of another cluster.',
  malformed: 'This is no token: a token is one line without spaces.',
  proxyOnly:
    'The proxy in front of this gateway names who you are. It has named nobody: open this address through it.',
} as const;
