import { assertInTime, fingerprintOf, readCertificateFiles } from './certificate-files.ts'
import type { CertificateFiles } from './certificate-files.ts'
import type { CertificatePair } from './certificate-pair.ts'

/** What is told of files that changed. */
export interface CertificateListener {
  /** Takes the new pair into use; what it throws counts as a bad pair. */
  readonly take: (pair: CertificatePair) => Promise<void>
  /** Hears of a changed pair that is not taken, once each. */
  readonly refuse: (error: unknown) => void
}

/** Watches a certificate and its key. */
export interface ChangingCertificate {
  /** Reads the pair that is used first. Throws `SOAKP_TLS_FILES`; an expired one is better than none. */
  first(): Promise<CertificatePair>
  /**
   * Looks whether the files have changed and, if they hold a good pair by now, has it taken. Never rejects; calls queue.
   * Certificate and key are two files, so between two writes they do not match: then the old pair goes on.
   */
  look(): Promise<void>
}

/** Creates the watch of two files. It looks only when asked: systems do not tell reliably of links and network drives. */
export function createChangingCertificate(
  files: CertificateFiles,
  { take, refuse }: CertificateListener,
  now: () => number,
): ChangingCertificate {
  let used: { readonly fingerprint: string; readonly pair: CertificatePair } | undefined
  let refused: string | undefined
  let looking = Promise.resolve()

  async function lookOnce(): Promise<void> {
    const fingerprint = await fingerprintOf(files)
    if (used === undefined || fingerprint === used.fingerprint) return
    try {
      const pair = await readCertificateFiles(files)
      assertInTime(pair, files.certificateFile, now())
      if (pair.cert !== used.pair.cert || pair.key !== used.pair.key) await take(pair)
      used = { fingerprint, pair }
      refused = undefined
    } catch (error) {
      if (refused === fingerprint) return
      refused = fingerprint
      refuse(error)
    }
  }

  return {
    async first() {
      const fingerprint = await fingerprintOf(files)
      const pair = await readCertificateFiles(files)
      used = { fingerprint, pair }
      return pair
    },

    look: () => (looking = looking.then(lookOnce)),
  }
}
