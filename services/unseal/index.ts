import type { UnsealConfiguration } from '../configuration.ts'

/** Names how a wrapping key is derived; kept in the seal's protected header, so it is authenticated. */
export type UnsealParameters = Readonly<Record<string, string | number>>

/** Something that can turn what the operator holds into the 32-byte key that wraps the vault's root key. */
export interface UnsealSource {
  readonly kind: UnsealConfiguration['kind']
  /** Makes fresh parameters for a new seal: a salt, costs. */
  newParameters(): UnsealParameters
  /** Derives the wrapping key, 32 bytes. The same parameters always give the same key. Throws on absurd parameters. */
  wrappingKey(parameters: UnsealParameters): Promise<Buffer>
}

const sources = {
  secret: () => import('./secret.ts'),
  'key-file': () => import('./key-file.ts'),
}

/** Loads the unseal source that the configuration names. `isFirstStart` says that no vault exists yet. */
export async function loadUnsealSource(
  configuration: UnsealConfiguration,
  isFirstStart: boolean,
): Promise<UnsealSource> {
  if (configuration.kind === 'secret') return (await sources.secret()).createSecretSource(configuration.secret)
  return (await sources['key-file']()).createKeyFileSource(configuration.file, configuration.make && isFirstStart)
}
