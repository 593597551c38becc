/**
 * Says in a sentence why a host gave no answer, and what to do. `error` is what undici, TLS or the system threw.
 */
export function describeNoAnswer(host: string, error: unknown): string {
  const code = codeOf(error)
  const advice = advices.find(({ codes }) => codes.test(code))?.say(host)
  return (
    advice ?? `${host} gave no answer that could be read (${code}). Try again later, and look at what lies between.`
  )
}

const advices: readonly { readonly codes: RegExp; readonly say: (host: string) => string }[] = [
  {
    codes:
      /^(?:SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_(?:GET_ISSUER|VERIFY_LEAF)\w*|CERT_UNTRUSTED|INVALID_CA|CERT_SIGNATURE_FAILURE)$/,
    say: (host) =>
      `The TLS certificate of ${host} is from an authority that is not trusted here. Put that authority's root into a file and name it in SOAKP_ACME_CA_FILE.`,
  },
  {
    codes: /^CERT_(?:HAS_EXPIRED|NOT_YET_VALID)$/,
    say: (host) =>
      `The TLS certificate of ${host} is expired or not valid yet. Look whether this machine's clock is right.`,
  },
  {
    codes: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    say: (host) =>
      `The TLS certificate of ${host} is for another name. Look at the host name in SOAKP_ACME_DIRECTORY, and at proxies that answer in its place.`,
  },
  {
    codes: /^(?:ENOTFOUND|EAI_\w+|ENODATA)$/,
    say: (host) => `The name ${host} does not resolve. Look at SOAKP_ACME_DIRECTORY and at the DNS of this machine.`,
  },
  {
    codes:
      /^(?:ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL|EACCES|EPERM|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/,
    say: (host) =>
      `${host} cannot be connected to. Look whether it runs and whether a firewall lets this machine connect to it.`,
  },
  {
    codes: /^(?:ECONNRESET|EPIPE|ECONNABORTED|UND_ERR_SOCKET|UND_ERR_(?:RES|REQ)_CONTENT_LENGTH_MISMATCH)$/,
    say: (host) => `${host} ended the connection before it had answered in full. Try again later.`,
  },
  {
    codes: /^(?:EPROTO|ERR_SSL_\w+|ERR_TLS_\w+)$/,
    say: (host) => `${host} does not speak TLS as it should. Look at the port in SOAKP_ACME_DIRECTORY.`,
  },
  {
    codes: /^(?:HPE_\w+|HTTPParserError|UND_ERR_HEADERS_OVERFLOW)$/,
    say: (host) => `${host} does not answer as an HTTP server. Look at the port in SOAKP_ACME_DIRECTORY.`,
  },
]

/** Node puts what several addresses failed of into one error, whose code is the first's. */
function codeOf(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    if ('code' in at && typeof at.code === 'string') return at.code
  }
  return error instanceof Error ? error.name : 'unknown'
}
