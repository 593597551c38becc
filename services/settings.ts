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
    meaning: 'Address to listen on. `0.0.0.0` or `::` for all.',
    aliases: ['SERVER_HOST'],
  },
  SOAKP_PORT: {
    default: '3033',
    meaning: 'Port to listen on; 0 takes a free one.',
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
    meaning: '`local`: certificate of an authority of your own; `files`: the two below; `off`: plain HTTP.',
  },
  SOAKP_TLS_CERT_FILE: { default: '', meaning: 'PEM file of the certificate and its chain, with `SOAKP_TLS=files`.' },
  SOAKP_TLS_KEY_FILE: { default: '', meaning: 'PEM file of the private key, with `SOAKP_TLS=files`.' },
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
  SOAKP_UPSTREAM_CA_FILE: { default: '', meaning: 'PEM file of further roots to trust for upstreams.' },
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
  SOAKP_ADDRESS_REQUESTS_PER_MINUTE: {
    default: '30000',
    meaning: 'Requests from one address (an IPv6 /64), before authentication.',
  },
  SOAKP_FAILED_LOGINS_PER_MINUTE: {
    default: '30',
    meaning: 'Wrong admin credentials from one address before it has to wait.',
  },
  SOAKP_UPSTREAM_CONNECT_SECONDS: { default: '10', meaning: 'Time to connect to an upstream, TLS included.' },
  SOAKP_UPSTREAM_ANSWER_SECONDS: { default: '600', meaning: 'Time until an upstream begins to answer.' },
  SOAKP_UPSTREAM_IDLE_SECONDS: { default: '600', meaning: 'Longest silence within an answer.' },
  SOAKP_UPSTREAM_CONNECTIONS: { default: '4096', meaning: 'Connections to one upstream origin; more requests wait.' },
  SOAKP_SOCKET_MESSAGE_BYTES: { default: '16777216', meaning: 'Longest message of a WebSocket, fragments joined.' },
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
