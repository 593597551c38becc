import type { Command } from 'commander'
import { show, withJson } from './answers.ts'
import type { OutputOptions } from './answers.ts'
import { withConnection } from './connection.ts'

/** Adds `soakp admin ...`. */
export function addAdminCommands(program: Command): void {
  const admin = program.command('admin').description('look after the admin credential of the HTTP API')

  withJson(admin.command('reset')).description('make a new admin credential; the old one ends at once').action(reset)
}

async function reset(output: OutputOptions): Promise<void> {
  await withConnection(async (soakp) => {
    const answer = await soakp.call<{ credential: string }>('POST', '/soakp/admin/reset')
    show(answer, output, ({ credential }) => [`Admin  ${credential} (shown this once; the old credential has ended)`])
  })
}
