import { PracticeError } from './errors.ts'
import type { Exchange } from './exchange.ts'
import type { Route } from './router.ts'
import { sendJson } from './send.ts'

const practiceModels = ['practice-fast', 'practice-slow']
const openAIModels = [
  'gpt-4o-mini',
  'gpt-5-mini',
  'gpt-image-1',
  'gpt-realtime',
  'text-embedding-3-small',
  'tts-1',
  'whisper-1',
]
const fineTunedModels = ['ft:gpt-4o-mini:practice::1']

/** The models: a fixed list, of which the fine-tuned one can be deleted. Endpoints accept any model's name. */
export function modelRoutes(): readonly Route[] {
  const models = new Map([...practiceModels, ...openAIModels, ...fineTunedModels].map((id) => [id, describe(id)]))

  function list({ response }: Exchange): void {
    sendJson(response, { object: 'list', data: [...models.values()] })
  }

  function retrieve({ response, params }: Exchange): void {
    sendJson(response, find(params['model']))
  }

  function remove({ response, params }: Exchange): void {
    const { id } = find(params['model'])
    if (!fineTunedModels.includes(id)) {
      throw new PracticeError(403, 'You have insufficient permissions for this operation.')
    }
    models.delete(id)
    sendJson(response, { id, object: 'model', deleted: true })
  }

  function find(id = ''): Model {
    const model = models.get(id)
    if (model !== undefined) return model
    throw new PracticeError(404, `The model '${id}' does not exist`, { param: 'model', code: 'model_not_found' })
  }

  return [
    { method: 'GET', path: '/models', answer: list },
    { method: 'GET', path: '/models/:model', answer: retrieve },
    { method: 'DELETE', path: '/models/:model', answer: remove },
  ]
}

interface Model {
  readonly id: string
  readonly object: 'model'
  readonly created: number
  readonly owned_by: string
}

function describe(id: string): Model {
  const owner = id.startsWith('practice-') ? 'practice' : 'system'
  return { id, object: 'model', created: 1_715_367_049, owned_by: fineTunedModels.includes(id) ? 'practice' : owner }
}
