/** One configuration variable: what the README's table shows and `readConfiguration` obeys. */
export interface Setting {
  readonly default: string
  readonly meaning: string
  /** Names of the 2023 soakp that are still accepted, with a warning. */
  readonly aliases?: readonly string[]
  /** A secret may also come from a file named by `<NAME>_FILE`, a systemd credential or a Docker secret. */
  readonly isSecret?: true
}

/** Every configuration variable, in the order of the README's table. Defaults are written as a user would type them. */
export const settings = {
  SOAKP_HOST: {
    default: '127.0.0.1',
    meaning: 'Address to listen on. `0.0.0.0` or `::` for all, which is the default with `SOAKP_DOMAIN`.',
    aliases: ['SERVER_HOST'],
  },
  SOAKP_PORT: {
    default: '3033',
    meaning: 'Port to listen on; 0 takes a free one. With `SOAKP_DOMAIN` 443 by default.',
    aliases: ['SECURE_PORT', 'SERVER_PORT'],
  },
  SOAKP_DATA_DIR: {
    default: './data',
    meaning: 'Folder of the encrypted database; made with mode 0700.',
    aliases: ['DATA_DIR', 'DATA_FILE_DIR'],
  },
  SOAKP_DATABASE_FILE: {
    default: 'soakp.db',
    meaning: 'The database file, in the data folder unless the path is absolute.',
    aliases: ['SQLITE_FILE', 'SQLITE_DB'],
  },
  SOAKP_TLS: {
    default: 'local',
    meaning:
      '`local`: certificate of an authority of your own; `files`: the two below; `acme`: got for `SOAKP_DOMAIN`, which sets this; `off`: plain HTTP.',
  },
  SOAKP_TLS_CERT_FILE: { default: '', meaning: 'PEM file of the certificate and its chain, with `SOAKP_TLS=files`.' },
  SOAKP_TLS_KEY_FILE: { default: '', meaning: 'PEM file of the private key, with `SOAKP_TLS=files`.' },
  SOAKP_DOMAIN: {
    default: '',
    meaning:
      'Names to get a certificate for, comma separated: `ai.example.com`, `*.example.com`. Proved by DNS, so SOAKP need not be reachable from outside.',
    aliases: ['CB_DOMAIN', 'CB_WILDCARD_DOMAIN'],
  },
  SOAKP_ACME_EMAIL: { default: '', meaning: 'Address that the certificate authority may write to.' },
  SOAKP_ACME_DIRECTORY: {
    default: 'letsencrypt',
    meaning:
      'Certificate authorities in order of preference: `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`, `google-staging` or the URL of an ACME directory.',
  },
  SOAKP_ACME_CA_FILE: { default: '', meaning: 'PEM file of further roots to trust for those directories.' },
  SOAKP_ACME_EAB_KID: {
    default: '',
    meaning: 'Key id of the external account binding that `zerossl` and `google` ask for.',
  },
  SOAKP_ACME_EAB_HMAC: { default: '', meaning: 'Its key, base64url.', isSecret: true },
  SOAKP_ACME_PROFILE: {
    default: '',
    meaning:
      'Certificate profiles in order of preference: `shortlived,tlsserver,classic`. The first that the authority has is ordered.',
  },
  SOAKP_DNS: {
    default: '',
    meaning:
      'Where the DNS records of those names are kept: a provider, or several in order of preference. `soakp dns providers` lists them and the variables that each reads.',
    aliases: ['CB_DNS'],
  },
  SOAKP_DNS_RESOLVERS: {
    default: "the system's",
    meaning: 'Addresses of resolvers that find the name servers of a zone, `9.9.9.9:53`; comma separated.',
  },
  SOAKP_DNS_API_URL: {
    default: '',
    meaning: "Another address of the provider's API: https, or http on loopback.",
  },
  SOAKP_DNS_POLICY: {
    default: 'all',
    meaning:
      'Which addresses of the name servers must have a record before the authority is told: `all`, or `quorum` for more than half.',
  },
  SOAKP_DNS_WAIT_SECONDS: { default: '600', meaning: 'Time that the name servers get to have it.' },
  SOAKP_DNS_DELAY_SECONDS: {
    default: '120',
    meaning: 'Time to wait instead where no name server can be asked (port 53 is closed) and the provider cannot tell.',
  },
  SOAKP_ALLOW_PLAIN_HTTP: {
    default: 'no',
    meaning: '`yes` lets `SOAKP_TLS=off` listen beyond loopback: only behind a proxy that does TLS.',
  },
  SOAKP_SECRET: {
    default: '',
    meaning: 'Secret string of 20 characters or more that unseals the vault.',
    aliases: ['JWT_SECRET'],
    isSecret: true,
  },
  SOAKP_ROOT_KEY_FILE: {
    default: '`root.key` in the data folder',
    meaning: 'File of 32 random bytes that unseals the vault instead. Made on a first start, but not in production.',
  },
  SOAKP_ADMIN_USER: {
    default: 'admin',
    meaning: 'User name of HTTP Basic at `/jwt/generate` and `/get-jwt`.',
    aliases: ['AUTH_USER'],
  },
  SOAKP_ADMIN_TOKEN: {
    default: 'made and shown once',
    meaning: 'The admin credential, if you want to choose it: 20 characters or more.',
    aliases: ['AUTH_PASS'],
    isSecret: true,
  },
  SOAKP_UPSTREAM: {
    default: 'https://api.openai.com/v1',
    meaning: 'Base URL of keys that are saved without one.',
  },
  SOAKP_UPSTREAM_CA_FILE: {
    default: '',
    meaning:
      'PEM file of further roots to trust for upstreams. A certificate that may sign others, as `openssl req -x509` makes, is such a root and no server’s own.',
  },
  SOAKP_ALLOW_PRIVATE_UPSTREAMS: {
    default: '',
    meaning: 'Origins on private addresses or plain HTTP that keys may name, comma separated: `http://10.0.0.5:8080`.',
  },
  SOAKP_ALLOWED_ORIGINS: {
    default: '',
    meaning: 'Browser origins that may call, comma separated. On loopback, pages of localhost always may.',
  },
  SOAKP_TRUSTED_PROXIES: {
    default: '',
    meaning: 'Addresses or CIDR ranges whose `X-Forwarded-For` is believed, comma separated.',
  },
  SOAKP_TOKEN_DAYS: { default: '30', meaning: 'Life of a token that is minted without `expires_in`, at most 365.' },
  SOAKP_TOKEN_REQUESTS_PER_MINUTE: { default: '600', meaning: 'Limit of a token that is minted without one.' },
  SOAKP_TOKEN_REQUESTS_PER_DAY: {
    default: '20000',
    meaning: 'Limit of a token that is minted without one. Days are UTC.',
  },
  SOAKP_TOKEN_PARALLEL_REQUESTS: { default: '100', meaning: 'Limit of a token that is minted without one.' },
  SOAKP_PARALLEL_REQUESTS: {
    default: '8000',
    meaning: 'Calls that run at once in all, WebSockets too; one more is answered 503.',
  },
  SOAKP_CONNECTIONS: { default: '10000', meaning: 'Open connections in all; one more is closed at once.' },
  SOAKP_ADDRESS_CONNECTIONS: {
    default: '2000',
    meaning:
      'Open connections of one address (an IPv6 /64). Those of `SOAKP_TRUSTED_PROXIES` carry the calls of many and are not counted.',
  },
  SOAKP_HTTP2_STREAMS: { default: '256', meaning: 'Requests at once on one HTTP/2 connection.' },
  SOAKP_ADDRESS_REQUESTS_PER_MINUTE: {
    default: '30000',
    meaning: 'Requests from one address (an IPv6 /64), before authentication.',
  },
  SOAKP_REFUSED_REQUESTS_PER_MINUTE: {
    default: '6000',
    meaning:
      'Requests without a good credential from one network (an IPv4 /24 or IPv6 /48). Beyond it they are answered 429 and their connection is closed; good tokens pass as before.',
  },
  SOAKP_FAILED_LOGINS_PER_MINUTE: {
    default: '30',
    meaning: 'Wrong admin credentials from one address (an IPv6 /64) before it has to wait.',
  },
  SOAKP_NETWORK_FAILED_LOGINS_PER_MINUTE: {
    default: '300',
    meaning: 'The same for one network (an IPv4 /24 or IPv6 /48).',
  },
  SOAKP_HEADER_BYTES: {
    default: '16384',
    meaning: 'Longest head of a request: its line and headers, over HTTP/2 with 32 bytes more for each header.',
  },
  SOAKP_URL_BYTES: { default: '12288', meaning: 'Longest path and query of a request.' },
  SOAKP_BODY_BYTES: {
    default: '2147483648',
    meaning: "Longest body that is passed on, 2 GiB. SOAKP's own routes take 1 MiB.",
  },
  SOAKP_HEADERS_SECONDS: {
    default: '15',
    meaning: 'Time that the head of a request may take, and before it a TLS handshake.',
  },
  SOAKP_CLIENT_IDLE_SECONDS: {
    default: '60',
    meaning:
      'Longest silence of a client within a body that it sends, and longest time that it takes no byte of an answer.',
  },
  SOAKP_CLIENT_BYTES_PER_SECOND: {
    default: '100',
    meaning:
      'Least speed of a client within a body that it sends, and within an answer that waits for it, measured over `SOAKP_CLIENT_IDLE_SECONDS`; `0` for any. Time spent waiting for the upstream is not counted.',
  },
  SOAKP_CALL_SECONDS: { default: '86400', meaning: 'Longest time of one call, streams and WebSockets too.' },
  SOAKP_UPSTREAM_CONNECT_SECONDS: { default: '10', meaning: 'Time to connect to an upstream, TLS included.' },
  SOAKP_UPSTREAM_ANSWER_SECONDS: { default: '600', meaning: 'Time until an upstream begins to answer.' },
  SOAKP_UPSTREAM_IDLE_SECONDS: { default: '600', meaning: 'Longest silence within an answer.' },
  SOAKP_UPSTREAM_CONNECTIONS: {
    default: '4096',
    meaning:
      'Calls at once to one upstream origin, each on a connection of its own; more of them wait. WebSockets are not counted here.',
  },
  SOAKP_UPSTREAM_QUEUE: {
    default: '1000',
    meaning: 'Calls that may wait for one upstream origin; one more is answered 503.',
  },
  SOAKP_UPSTREAM_QUEUE_SECONDS: {
    default: '10',
    meaning: 'Time that a call may wait there before it is answered 503.',
  },
  SOAKP_SOCKET_MESSAGE_BYTES: { default: '16777216', meaning: 'Longest message of a WebSocket, fragments joined.' },
  SOAKP_SOCKET_BUFFER_BYTES: {
    default: '134217728',
    meaning:
      'Bytes of messages that are unfinished or not yet taken, on all WebSockets together, 128 MiB. Beyond it, the token that keeps the most loses its largest WebSocket, with 1013.',
  },
  SOAKP_SOCKET_HEARTBEAT_SECONDS: {
    default: '30',
    meaning: 'Silence on a WebSocket before a ping; twice as long ends it.',
  },
  SOAKP_DRAIN_SECONDS: { default: '10', meaning: 'Time that running calls get to end when SOAKP is stopped.' },
  SOAKP_LOG_LEVEL: { default: 'info', meaning: '`debug`, `info`, `warn`, `error` or `silent`.' },
} as const satisfies Record<string, Setting>

/** The name of a configuration variable. */
export type SettingName = keyof typeof settings

/** The same table, typed for reading by name. */
export const settingsByName: Readonly<Record<string, Setting>> = settings
