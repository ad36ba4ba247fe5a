// Who uses the dashboard. The key stays in this tab's session storage and goes nowhere but to the server it came from.
import { computed, signal } from '@preact/signals'
import { go, query } from '../route'
import type { Problem, Schemas } from './client'

const STORED = 'postrider.key'

export type Me = Schemas['Me']

export const key = signal(window.sessionStorage.getItem(STORED))
export const me = signal<Me | null>(null)
/** Why the sign-in is shown, if it is for a reason. */
export const notice = signal<string | null>(null)
/** The first requests could not be made. */
export const failure = signal<Problem | null>(null)

/** A portal's link brings its token in the fragment. It is taken out of the address, so that it is in no history. */
export function takeToken(): void {
  const found = /^#token=([^&]+)&?(.*)$/.exec(window.location.hash)
  if (!found) return
  remember(decodeURIComponent(found[1] ?? ''))
  go(found[2] ? `#/?${found[2]}` : '#/', 'replace')
}

export function remember(value: string): void {
  window.sessionStorage.setItem(STORED, value)
  key.value = value
  notice.value = null
}

export function forget(why: string | null = null): void {
  window.sessionStorage.removeItem(STORED)
  key.value = null
  me.value = null
  notice.value = why
}

/** What the caller may do. */
export const may = computed(() => {
  const scope = me.value?.scope
  const capabilities = me.value?.capabilities ?? []
  const manage = scope === 'admin' || capabilities.includes('manage')
  const staff = scope === 'admin' || scope === 'read' || scope === 'support'
  return {
    manage,
    publish: scope === 'admin' || scope === 'publish',
    retry: manage || scope === 'publish',
    readPayloads: scope !== 'support',
    read: staff || capabilities.includes('read'),
    /** What is about producers and the service, which customers do not see. */
    staff,
    admin: scope === 'admin',
  }
})

export const isOperator = computed(() => me.value?.kind === 'operator')
/** Set if there is one tenant alone: then nobody has to choose. */
export const onlyTenant = signal<string | null>(null)
/** The tenant that an operator has chosen; `*` for all. Others have no choice. */
export const chosen = computed(() => (isOperator.value ? (query.value.get('tenant') ?? onlyTenant.value ?? '*') : null))
export const isAll = computed(() => chosen.value === '*')

/** The value of `Postrider-Tenant` for a route; routes about tenants and keys take none. */
export function scopeOfTenant(route: string, other?: string): string | null {
  if (!isOperator.value || /^\/(tenants|keys|me|operations|portal-sessions)\b/.test(route)) return null
  return other ?? chosen.value
}
