// What a form about a subscription holds, and what of it goes to the API.
import type { Problem, Schemas } from '../../api/client'
import { objectOf, type Pair, pairsOf, withRemoved } from '../../ui/pairs'
import { type Condition, conditionsOf, faultOf } from './conditions'
import { rounded } from './rounded'
import type { Subscription } from './state'

type Body = Schemas['SubscriptionForm']

export interface Draft {
  target_url: string
  description: string
  external_id: string
  /** All event types; otherwise those that are named. */
  all: boolean
  event_types: string[]
  /** Typed, and not added to them. */
  typed_type: string
  /** JSON, or nothing. */
  filter: string
  /** The filter as rows; null where it is written as JSON. A row with a fault is not in `filter`. */
  conditions: Condition[] | null
  headers: Pair[]
  metadata: Pair[]
  auth: { type: '' | 'basic' | 'bearer'; username: string; password: string; token: string; stored: boolean }
  request_timeout_ms: string
  retry_schedule: string
  rate_limit: string
  max_in_flight: string
  ordered: boolean
  skip_after_attempts: string
  verify_ingest: boolean
  /** At creation only. */
  secret_key: string
}

/** What is typed in the settings and not saved. */
export interface Edits {
  /** The stored values from before it was typed, without what somebody else has changed since. */
  before: Draft
  fields: Partial<Draft>
}

const text = (value: string | number | null | undefined) => (value === null || value === undefined ? '' : String(value))
const NO_AUTH: Draft['auth'] = { type: '', username: '', password: '', token: '', stored: false }

/** The filter as rows; null where rows cannot say it. */
export function conditionsIn(filter: string): Condition[] | null {
  const parsed = parseObject(filter, '')
  if ('problem' in parsed) return null
  return parsed.value ? conditionsOf(parsed.value) : []
}

/** The first condition that has a fault, by its place; null if none has. */
export function faultyCondition({ conditions }: Pick<Draft, 'conditions'>): { at: number; fault: string } | null {
  for (const [at, row] of (conditions ?? []).entries()) {
    const fault = faultOf(row)
    if (fault) return { at, fault }
  }
  return null
}

export function draftOf(one: Subscription | null): Draft {
  const filter = one?.filter ? JSON.stringify(one.filter, null, 2) : ''
  return {
    target_url: text(one?.target_url),
    description: text(one?.description),
    external_id: text(one?.external_id),
    all: !one?.event_types.length,
    event_types: one?.event_types ?? [],
    typed_type: '',
    filter,
    conditions: conditionsIn(filter),
    headers: pairsOf(one?.headers ?? {}),
    metadata: pairsOf(one?.metadata ?? {}),
    auth: one?.auth ? { ...NO_AUTH, type: one.auth.type, stored: true } : NO_AUTH,
    request_timeout_ms: text(one?.request_timeout_ms),
    retry_schedule: text(one?.retry_schedule),
    rate_limit: text(one?.rate_limit),
    max_in_flight: text(one?.max_in_flight),
    ordered: one?.ordered ?? false,
    skip_after_attempts: text(one?.skip_after_attempts),
    verify_ingest: one?.verify_ingest ?? false,
    secret_key: '',
  }
}

/** A field that is wrong before the server is asked. */
export const fieldProblem = (pointer: string, detail: string): Problem => ({
  title: 'Something is not right yet',
  status: 0,
  code: 'invalid',
  errors: [{ pointer, code: 'invalid', detail }],
})

/** Where a condition stands in the form: the filter that is sent has no such place. */
export const conditionPointer = (at: number) => `/filter#${at}`

/** The text as a JSON object, null where there is none, or what is wrong with it. */
export function parseObject(json: string, pointer: string): { value: Record<string, unknown> | null } | { problem: Problem } {
  if (!json.trim()) return { value: null }
  try {
    const value: unknown = JSON.parse(json)
    const number = rounded(json)
    if (number) return { problem: fieldProblem(pointer, `has the number ${number}, which a browser rounds: set it over the API`) }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { value: value as Record<string, unknown> }
    return { problem: fieldProblem(pointer, 'must be a JSON object, in { and }') }
  } catch (error) {
    return { problem: fieldProblem(pointer, `is not valid JSON: ${error instanceof Error ? error.message : ''}`) }
  }
}

const number = (value: string) => (value.trim() ? Number(value) : null)

function authOf({ type, username, password, token, stored }: Draft['auth']): Body['auth'] {
  if (!type) return null
  // The type alone keeps what is stored.
  if (stored && !username && !password && !token) return { type }
  return type === 'basic' ? { type, username, password } : { type, token }
}

/** The whole of a draft as the API takes it. */
function bodyOf(draft: Draft): { body: Body } | { problem: Problem } {
  const filter = parseObject(draft.filter, '/filter')
  if ('problem' in filter) return filter
  const faulty = faultyCondition(draft)
  if (faulty) return { problem: fieldProblem(conditionPointer(faulty.at), faulty.fault) }
  const typed = draft.typed_type.trim()
  if (!draft.all && typed) return { problem: fieldProblem('/event_types', `${typed} is typed, but not added: press Enter in its field, or empty it`) }
  // To the server an empty list means all.
  if (!draft.all && !draft.event_types.length) return { problem: fieldProblem('/event_types', 'needs at least one, or choose all') }
  const body = {
    target_url: draft.target_url.trim(),
    description: draft.description.trim() || null,
    external_id: draft.external_id.trim() || null,
    event_types: draft.all ? [] : draft.event_types,
    filter: filter.value,
    headers: objectOf(draft.headers),
    metadata: objectOf(draft.metadata),
    auth: authOf(draft.auth),
    request_timeout_ms: number(draft.request_timeout_ms),
    retry_schedule: draft.retry_schedule.trim() || null,
    rate_limit: number(draft.rate_limit),
    max_in_flight: number(draft.max_in_flight),
    ordered: draft.ordered,
    skip_after_attempts: draft.ordered ? number(draft.skip_after_attempts) : null,
    verify_ingest: draft.verify_ingest,
  }
  return { body: body as Body }
}

/** What a new subscription is made of: what was left empty takes the server's defaults. */
export function creation(draft: Draft): { body: Body } | { problem: Problem } {
  const whole = bodyOf(draft)
  if ('problem' in whole) return whole
  const given = Object.entries(whole.body).filter(([, value]) => !isEmpty(value))
  return { body: { ...Object.fromEntries(given), ...(draft.secret_key ? { secret_key: draft.secret_key } : {}) } as Body }
}

function isEmpty(value: unknown): boolean {
  return value === null || value === false || (typeof value === 'object' && Object.keys(value as object).length === 0)
}

/** Only what differs, so that a change of somebody else to another field stays. */
export function changes(before: Draft, after: Draft): { body: Partial<Body> } | { problem: Problem } {
  // A filter that nobody touched is left alone, whatever its numbers.
  const same = before.filter === after.filter
  const [was, is] = [bodyOf(same ? { ...before, filter: '' } : before), bodyOf(same ? { ...after, filter: '' } : after)]
  if ('problem' in is) return is
  const old = ('body' in was ? was.body : {}) as Record<string, unknown>
  const different = Object.entries(is.body).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name]))
  const body = Object.fromEntries(different)
  if (body.metadata) body.metadata = withRemoved((old.metadata ?? {}) as Record<string, string>, body.metadata as Record<string, string>)
  return { body: body as Partial<Body> }
}

/** Whether something that is typed is not saved. */
export function isUnsaved(edits: Edits | null): boolean {
  if (!edits) return false
  const made = changes(edits.before, { ...edits.before, ...edits.fields })
  return 'problem' in made || Object.keys(made.body).length > 0
}

/** Fields that hold one thing in two forms: they are kept or dropped together. */
const FILTER = ['filter', 'conditions']

/** What was typed after `sent` had gone to the server, which has stored `saved`; null if nothing was. */
export function typedSince(sent: Partial<Draft>, now: Edits | null, saved: Draft): Edits | null {
  const typed = Object.entries(now?.fields ?? {})
  const changed = typed.filter(([name, value]) => value !== sent[name as keyof Draft]).map(([name]) => name)
  const kept = changed.some((name) => FILTER.includes(name)) ? [...changed, ...FILTER] : changed
  return kept.length ? { before: saved, fields: Object.fromEntries(typed.filter(([name]) => kept.includes(name))) } : null
}
