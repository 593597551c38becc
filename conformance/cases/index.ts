import { answerCases, leavingCases } from './answers.ts'
import type { Call } from './case.ts'
import { fileCases, operationCases } from './operations.ts'
import { bodyCases, headerCases, methodCases, targetCases } from './requests.ts'

/** Makes all calls, the operations of OpenAI's API first. */
export async function allCalls(): Promise<Call[]> {
  return [
    ...(await operationCases()),
    ...fileCases(),
    ...targetCases(),
    ...methodCases(),
    ...bodyCases(),
    ...headerCases(),
    ...answerCases(),
    ...leavingCases(),
  ]
}
