// Calls the public API. Every failure is a problem with a title and, where the server has one, the id of the request.
import type { components, paths } from './schema'
import { forget, key, scopeOfTenant } from './session'

export type Schemas = components['schemas']

type Answered<O> = O extends { responses: infer R }
  ? { [S in keyof R]: S extends 200 | 201 | 202 ? (R[S] extends { content: infer C } ? C[keyof C] : never) : never }[keyof R]
  : never
type Body<O> = O extends { requestBody?: { content: infer C } } ? C[keyof C] : never
type Query<O> = O extends { parameters: { query?: infer Q } } ? Q : never
type With<M extends string> = { [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never }[keyof paths]
type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

export interface Problem {
  title: string
  detail?: string
  status: number
  code: string
  request_id?: string
  errors?: { pointer: string; code: string; detail: string }[]
}

export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title)
  }
}

interface Call<Q = unknown, B = unknown> {
  /** Values of the path's variables. */
  at?: Record<string, string>
  query?: Q
  body?: B
  headers?: Record<string, string>
  /** Another tenant than the chosen one. */
  tenant?: string | undefined
  signal?: AbortSignal | undefined
}

type Answer<M extends Method, P extends keyof paths> = Answered<paths[P][M]>

function address(template: string, call: Call): URL {
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(call.at?.[name] ?? ''))
  const url = new URL('.' + filled, window.location.href.replace(/[#?].*$/, ''))
  for (const [name, value] of Object.entries(call.query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== '') url.searchParams.append(name, String(one))
    }
  }
  return url
}

function wait(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener('abort', () => (clearTimeout(timer), reject(signal.reason)), { once: true })
  })
}

/** What one field of a form breaks, in the words of the server. */
function headerProblem(name: string): Problem {
  const shown = name.replace(/(^|-)\w/g, (letter) => letter.toUpperCase())
  const detail = 'has a character that cannot be sent: write it with letters, digits and signs of ASCII.'
  return { title: 'This cannot be sent', detail: `${shown} ${detail}`, status: 0, code: 'header_invalid', errors: [{ pointer: `/headers/${name.toLowerCase()}`, code: 'characters', detail }] }
}

/** A browser sends no character beyond a byte in a header, and throws where one is set. */
function headersOf(given: Record<string, string>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(given)) {
    try {
      headers.set(name, value)
    } catch {
      throw new ProblemError(headerProblem(name))
    }
  }
  return headers
}

async function problemOf(response: Response): Promise<Problem> {
  const unknown = { title: `The server answered ${response.status}`, status: response.status, code: 'unknown' }
  const read = (await response.json().catch(() => null)) as Problem | null
  return read && typeof read.title === 'string' ? read : unknown
}

/** Attempts at a read that the server has no room for. */
const TRIES = 3
const MOST_WAIT_S = 5

/** A connection that fails is tried once more, and a full server after the time that it names, where that repeats nothing. */
async function ask(method: Method, url: URL, request: RequestInit, signal: AbortSignal | undefined): Promise<Response> {
  if (method !== 'get') return fetch(url, request)
  const again = async (error: unknown) => {
    if (signal?.aborted) throw error
    await wait(400, signal)
    return fetch(url, request)
  }
  for (let tries = 1; ; tries++) {
    const response = await fetch(url, request).catch(again)
    const seconds = Number(response.headers.get('retry-after'))
    if (response.ok || tries === TRIES || !(seconds > 0 && seconds <= MOST_WAIT_S)) return response
    await wait(seconds * 1_000, signal)
  }
}

/** The response of a call that succeeded. */
export async function send(method: Method, template: string, call: Call = {}): Promise<Response> {
  const used = key.value
  const tenant = scopeOfTenant(template, call.tenant)
  const headers = headersOf({ ...call.headers, ...(used ? { authorization: `Bearer ${used}` } : {}), ...(tenant ? { 'postrider-tenant': tenant } : {}) })
  const request: RequestInit = { method: method.toUpperCase(), headers, signal: call.signal ?? null, cache: 'no-store' }
  if (call.body !== undefined) {
    if (!headers.has('content-type')) headers.set('content-type', 'application/json')
    request.body = typeof call.body === 'string' ? call.body : JSON.stringify(call.body)
  }
  const url = address(template, call)
  let response: Response
  try {
    response = await ask(method, url, request, call.signal)
  } catch (error) {
    if (call.signal?.aborted) throw error
    throw new ProblemError({ title: 'The server cannot be reached', detail: 'Is it running, and is the network up?', status: 0, code: 'unreachable' })
  }
  if (response.ok) return response
  const problem = await problemOf(response)
  // The key was revoked or has expired. An answer that comes late says nothing of the key that is used now.
  if (problem.status === 401 && used && used === key.value) forget('Your key was revoked or has expired')
  throw new ProblemError(problem)
}

async function json<M extends Method, P extends With<M>>(method: M, path: P, call: Call): Promise<Answer<M, P>> {
  return (await (await send(method, path, call)).json()) as Answer<M, P>
}

export const get = <P extends With<'get'>>(path: P, call: Call<Query<paths[P]['get']>> = {}) => json('get', path, call)
export const post = <P extends With<'post'>>(path: P, call: Call<Query<paths[P]['post']>, Body<paths[P]['post']> | string> = {}) =>
  json('post', path, call)
export const put = <P extends With<'put'>>(path: P, call: Call<unknown, Body<paths[P]['put']>> = {}) => json('put', path, call)
export const patch = <P extends With<'patch'>>(path: P, call: Call<unknown, Body<paths[P]['patch']>> = {}) => json('patch', path, call)
export const remove = <P extends With<'delete'>>(path: P, call: Call = {}) => json('delete', path, call)

/** What failed, as a problem to show. */
export function asProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem
  return { title: 'The dashboard failed', detail: String(error), status: 0, code: 'internal' }
}
