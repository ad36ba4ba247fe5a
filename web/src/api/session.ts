// Who uses the dashboard. The key stays in this tab's session storage and goes nowhere but to the server it came from.
import { computed, signal } from '@preact/signals'
import { go, query } from '../route'
import type { Problem, Schemas } from './client'
import { store, stored } from './storage'

const STORED = 'postrider.key'

export type Me = Schemas['Me']

export const key = signal(stored('sessionStorage', STORED))
export const me = signal<Me | null>(null)
/** Why the sign-in is shown, if it is for a reason. */
export const notice = signal<string | null>(null)
/** The first requests could not be made. */
export const failure = signal<Problem | null>(null)

/** A customer's portal link. Where it ends there is nobody to sign in. */
export const isPortal = computed(() => Boolean(key.value?.startsWith('prp_')))
/** How the portal link ended. */
export const ended = signal<'expired' | 'refused' | 'left' | null>(null)

/** The token of a portal's link that was opened where an API key is used: it is taken only if somebody says so. */
export const offered = signal<string | null>(null)

/** What a key or a token may be made of: a header takes nothing else. */
export const isKey = (text: string) => /^[\x21-\x7e]+$/.test(text)

/**
 * A portal's link brings its token in the fragment. It is taken out of the address, so that it is in no history, and so
 * is what is no portal's token. Anybody can make a link, so none takes the place of an API key by itself. It does take the
 * place of another portal's token: the page around a frame goes on with a new session so.
 */
export function takeToken(): boolean {
  const { hash } = window.location
  if (!hash.startsWith('#token=')) return false
  const token = new URLSearchParams(hash.slice(1)).get('token') ?? ''
  go('#/', 'replace')
  if (!token.startsWith('prp_') || !isKey(token)) return false
  if (key.value && !isPortal.value) {
    offered.value = token
    return false
  }
  acceptToken(token)
  return true
}

export function acceptToken(token: string): void {
  offered.value = null
  me.value = null
  ended.value = null
  remember(token)
}

export function remember(value: string): void {
  store('sessionStorage', STORED, value)
  key.value = value
  notice.value = null
}

/** A portal's token is kept although it has ended: so a reload shows the same message. */
export function forget(why: string | null = null): void {
  me.value = null
  if (isPortal.value) {
    ended.value = 'refused'
    return
  }
  forgetToken()
  notice.value = why
}

export function forgetToken(): void {
  store('sessionStorage', STORED, null)
  ended.value = null
  key.value = null
}

/** Ends the visit of a customer in this tab. */
export function leave(): void {
  store('sessionStorage', STORED, null)
  me.value = null
  ended.value = 'left'
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
