/** A variable that a DNS provider reads. It may come from `<NAME>_FILE`, a systemd credential or a Docker secret, too. */
export interface DnsVariable {
  readonly meaning: string
  /** Names of other programs that are accepted without a warning. */
  readonly aliases?: readonly string[]
  /** Never shown, and deleted from the environment once it is read. */
  readonly isSecret?: true
  /** A program, a file or an address: whoever holds the admin credential must not choose it, so it is not in the vault. */
  readonly isEnvironmentOnly?: true
  /** The provider works without it. */
  readonly isOptional?: true
}

/** A DNS provider as it is listed: what it is called, and what it reads under the names that users of lego know. */
export interface DnsProviderDescription {
  readonly title: string
  readonly variables: Readonly<Record<string, DnsVariable>>
}

/** Every DNS provider, by its name in SOAKP_DNS. Kept apart from the code of each, which is loaded only when it is used. */
export const dnsProviders = {
  rfc2136: {
    title: 'RFC 2136 dynamic updates: BIND, Knot, PowerDNS and others',
    variables: {
      RFC2136_NAMESERVER: {
        meaning: 'Primary name server: `host`, `host:port` or `[address]:port`.',
        aliases: ['DNSUPDATE_NAMESERVER', 'DNS_RFC2136_SERVER'],
        isEnvironmentOnly: true,
      },
      RFC2136_PORT: {
        meaning: 'Its TCP port, where RFC2136_NAMESERVER has none; 53 by default.',
        aliases: ['DNS_RFC2136_PORT'],
        isEnvironmentOnly: true,
        isOptional: true,
      },
      RFC2136_TSIG_KEY: {
        meaning: 'Name of the TSIG key.',
        aliases: ['DNSUPDATE_TSIG_KEY', 'DNS_RFC2136_NAME'],
        isOptional: true,
      },
      RFC2136_TSIG_ALGORITHM: {
        meaning: 'Its algorithm: `hmac-sha256` by default, `hmac-sha1`, `-sha224`, `-sha384` or `-sha512`.',
        aliases: ['DNSUPDATE_TSIG_ALGORITHM', 'DNS_RFC2136_ALGORITHM'],
        isOptional: true,
      },
      RFC2136_TSIG_SECRET: {
        meaning: 'Its secret, base64.',
        aliases: ['DNSUPDATE_TSIG_SECRET', 'DNS_RFC2136_SECRET'],
        isSecret: true,
        isOptional: true,
      },
      RFC2136_TSIG_FILE: {
        meaning: 'Path of a key file as `tsig-keygen` writes it, instead of the three before.',
        aliases: ['DNSUPDATE_TSIG_FILE'],
        isEnvironmentOnly: true,
        isOptional: true,
      },
      RFC2136_ZONES: {
        meaning: 'Zones that may be written, comma separated; the name server is asked unless set.',
        aliases: ['DNSUPDATE_ZONES'],
        isOptional: true,
      },
      RFC2136_TTL: {
        meaning: 'TTL of the records in seconds; 60 by default.',
        aliases: ['DNSUPDATE_TTL'],
        isOptional: true,
      },
      RFC2136_DNS_TIMEOUT: {
        meaning: 'How many seconds the name server may take for an answer; 10 by default.',
        aliases: ['DNSUPDATE_DNS_TIMEOUT'],
        isOptional: true,
      },
    },
  },
  cloudflare: {
    title: 'Cloudflare',
    variables: {
      CF_DNS_API_TOKEN: {
        meaning: 'API token with Zone:Read and DNS:Edit for the zone.',
        aliases: [
          'CLOUDFLARE_DNS_API_TOKEN',
          'CLOUDFLARE_API_TOKEN',
          'CF_API_TOKEN',
          'CF_Token',
          'DNS_CLOUDFLARE_API_TOKEN',
        ],
        isSecret: true,
        isOptional: true,
      },
      CF_ZONE_API_TOKEN: {
        meaning: 'API token with Zone:Read, where the one before has only DNS:Edit.',
        aliases: ['CLOUDFLARE_ZONE_API_TOKEN'],
        isSecret: true,
        isOptional: true,
      },
      CF_ZONE_ID: {
        meaning: 'Id of the zone, where the token may not list zones or several accounts hold it.',
        aliases: ['CLOUDFLARE_ZONE_ID', 'CF_Zone_ID'],
        isOptional: true,
      },
      CF_API_EMAIL: {
        meaning: 'E-mail address of the account, with the global key instead of a token.',
        aliases: ['CLOUDFLARE_EMAIL', 'CLOUDFLARE_API_EMAIL', 'CF_Email', 'DNS_CLOUDFLARE_EMAIL'],
        isOptional: true,
      },
      CF_API_KEY: {
        meaning: 'Global API key of the account; a token is safer.',
        aliases: ['CLOUDFLARE_API_KEY', 'CF_Key', 'DNS_CLOUDFLARE_API_KEY'],
        isSecret: true,
        isOptional: true,
      },
    },
  },
  route53: {
    title: 'Amazon Route 53',
    variables: {
      AWS_ACCESS_KEY_ID: { meaning: 'Access key id.' },
      AWS_SECRET_ACCESS_KEY: { meaning: 'Secret access key.', isSecret: true },
      AWS_SESSION_TOKEN: {
        meaning: 'Session token of temporary credentials.',
        aliases: ['AWS_SECURITY_TOKEN'],
        isSecret: true,
        isOptional: true,
      },
      AWS_REGION: {
        meaning: 'Region; matters only for China (`cn-…`) and GovCloud (`us-gov-…`).',
        aliases: ['AWS_DEFAULT_REGION'],
        isOptional: true,
      },
      AWS_HOSTED_ZONE_ID: {
        meaning: 'Id of the hosted zone, where zones may not be listed or several have its name.',
        isOptional: true,
      },
      AWS_PRIVATE_ZONE: { meaning: '`true` to write to private zones instead of public ones.', isOptional: true },
    },
  },
  httpreq: {
    title: 'A program of yours that answers HTTP',
    variables: {
      HTTPREQ_ENDPOINT: { meaning: 'URL that `/present` and `/cleanup` are posted under.', isEnvironmentOnly: true },
      HTTPREQ_MODE: { meaning: 'Empty: `{"fqdn", "value"}` is posted. `RAW` is not supported.', isOptional: true },
      HTTPREQ_USERNAME: { meaning: 'User for basic authentication.', isOptional: true },
      HTTPREQ_PASSWORD: { meaning: 'Password for basic authentication.', isSecret: true, isOptional: true },
    },
  },
  exec: {
    title: 'A program of yours on this machine',
    variables: {
      EXEC_PATH: {
        meaning: 'Program that is run with `present` or `cleanup`, a name and a value.',
        isEnvironmentOnly: true,
      },
      EXEC_MODE: { meaning: 'Empty: the name and the value are passed. `RAW` is not supported.', isOptional: true },
    },
  },
} as const satisfies Record<string, DnsProviderDescription>

type Names<Variables> = Variables extends unknown ? keyof Variables & string : never

/** The name of a provider's variable. */
export type DnsVariableName = Names<(typeof dnsProviders)[keyof typeof dnsProviders]['variables']>

/** Tells whether a variable is set in the environment only: what the vault has under its name does not count. */
export function isEnvironmentOnly(name: string): boolean {
  const all = Object.values<DnsProviderDescription>(dnsProviders)
  return all.some(({ variables }) => Object.hasOwn(variables, name) && variables[name]?.isEnvironmentOnly === true)
}
