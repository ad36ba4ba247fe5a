// Where the reader is: the path and query behind `#`, so that every view has a link, under any prefix of a proxy.
import { computed, signal } from '@preact/signals'

const fragment = signal(window.location.hash)
window.addEventListener('hashchange', () => (fragment.value = window.location.hash))

function split(hash: string): [path: string, query: string] {
  const text = hash.replace(/^#/, '')
  const mark = text.indexOf('?')
  return mark < 0 ? [text, ''] : [text.slice(0, mark), text.slice(mark + 1)]
}

export const path = computed(() => split(fragment.value)[0] || '/')
export const query = computed(() => new URLSearchParams(split(fragment.value)[1]))

type Params = Record<string, string | readonly string[] | null | undefined>

function apply(target: URLSearchParams, params: Params): URLSearchParams {
  for (const [name, value] of Object.entries(params)) {
    target.delete(name)
    if (typeof value === 'string') target.set(name, value)
    else value?.forEach((one) => target.append(name, one))
  }
  return target
}

function join(to: string, params: URLSearchParams): string {
  const text = params.toString()
  return `#${to}${text && '?' + text}`
}

/** A link to a view. The chosen tenant goes along unless `params` names another. */
export function href(to: string, params: Params = {}): string {
  const tenant = query.value.get('tenant')
  return join(to, apply(new URLSearchParams(tenant ? { tenant } : {}), params))
}

/** A link to this view with other parameters; `null` removes one. */
export function here(params: Params): string {
  return join(path.value, apply(new URLSearchParams(query.value), params))
}

export function go(link: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'push') window.history.pushState(null, '', link)
  else window.history.replaceState(null, '', link)
  fragment.value = link
}
