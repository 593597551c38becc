import { SoakpError } from '../errors.ts'

/** Bytes of a name server that are no DNS message, or not the one that was asked for. */
export class DnsMessageError extends SoakpError {
  constructor(message: string, cause?: unknown) {
    super(502, 'SOAKP_DNS_MESSAGE', message, { cause })
  }
}
