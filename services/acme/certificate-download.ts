import type { PostOptions } from './call.ts'
import { alternatesOf, leadsTo, readChain } from './chain.ts'
import { AcmeError } from './error.ts'
import { createParseError } from './order.ts'
import type { AcmeAnswer } from './transport.ts'

/** Sends POST-as-GET in the name of the account. */
export type Download = (url: string, request: Pick<PostOptions, 'asked' | 'accept'>) => Promise<AcmeAnswer>

/**
 * Downloads a certificate's chain. Where a root is preferred and the first chain does not lead to it, the alternates are
 * looked at; the first chain it is when none of them does, or none can be had.
 */
export async function downloadCertificate(
  directory: string,
  download: Download,
  url: string,
  preferredRoot: string | undefined,
): Promise<string> {
  const request = { asked: 'to give out the certificate', accept: 'application/pem-certificate-chain' }
  const answer = await download(url, request)
  const chain = readChain(answer.text)
  if (chain === undefined) throw createParseError(directory, answer, 'is no certificate')
  if (preferredRoot === undefined || leadsTo(chain, preferredRoot)) return chain
  for (const alternate of alternatesOf(answer)) {
    const other = readChain(await textOf(() => download(alternate, request)))
    if (other !== undefined && leadsTo(other, preferredRoot)) return other
  }
  return chain
}

async function textOf(ask: () => Promise<AcmeAnswer>): Promise<string> {
  try {
    return (await ask()).text
  } catch (error) {
    if (error instanceof AcmeError) return ''
    throw error
  }
}
