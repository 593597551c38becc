import { Command } from 'commander'
import { addAcmeCommands } from './acme.ts'
import { addAdminCommands } from './admin.ts'
import { addAuthorityCommands } from './ca.ts'
import { addDnsCommands } from './dns.ts'
import { addDoctorCommand } from './doctor.ts'
import { addKeyCommands } from './keys.ts'
import { addMigrateCommand } from './migrate.ts'
import { packageVersion } from './package.ts'
import { addTokenCommands } from './tokens.ts'

/** Creates the command line of SOAKP. Wrong usage is thrown as a `CommanderError`, and nothing is printed of it. */
export function createProgram(): Command {
  const program = new Command('soakp')
    .description('Keeps API keys on this machine and gives your apps revocable tokens instead.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .addHelpText('after', HELP)

  program
    .command('serve')
    .description('start SOAKP; the README lists the environment variables that configure it')
    .action(async () => {
      const { serve } = await import('./serve.ts')
      await serve()
    })
  addKeyCommands(program)
  addTokenCommands(program)
  addAdminCommands(program)
  addAcmeCommands(program)
  addDnsCommands(program)
  addDoctorCommand(program)
  addAuthorityCommands(program)
  addMigrateCommand(program)
  return program
}

const HELP = `
Examples:
  $ soakp serve                                        start it; https://localhost:3033
  $ soakp keys add                                     save an OpenAI key and print a token for it
  $ soakp keys add --name team < key-file              the same in a script
  $ soakp tokens add --subject alice --expires-in 12h --path /chat/completions
  $ soakp tokens list --json | jq -r '.data[].id'
  $ soakp tokens revoke tok_...                        ends its running calls, too
  $ soakp doctor                                       say what is wrong and what to do about it
  $ soakp acme check                                   before the first certificate: what would go wrong
  $ soakp acme status                                  the certificate, its renewal and what has happened
  $ soakp dns set CF_DNS_API_TOKEN < token-file        store a credential of a DNS provider in the vault
  $ soakp ca trust                                     have this machine trust the local authority
  $ soakp migrate secrets.sqlite                       take over the keys of the 2023 soakp

In a clone it is \`npm run soakp keys add\`; options need \`--\`: \`npm run soakp -- keys list --json\`.

Keys and credentials are asked for at a prompt that shows nothing, or read from standard input when that is no
terminal; never give one as an argument. Deleting and revoking ask first on a terminal, unless --yes is given; without a terminal they
do not ask.

The command talks to the SOAKP that runs on the data folder, by the socket in it, or else works on the folder itself.
It reads the same environment as \`soakp serve\`: SOAKP_DATA_DIR (./data), SOAKP_SECRET and so on.

With --json, standard output holds exactly the JSON of the HTTP API; errors are its error envelope, on standard error.

Exit codes:
  0  done
  1  failed, or refused by SOAKP; \`doctor\`, \`acme check\`: there is a fault
  2  wrong usage
  3  there is no such key, token or variable, or no domain
  4  \`keys check\`: the upstream does not take the key, or could not be asked
`
