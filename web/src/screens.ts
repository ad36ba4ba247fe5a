// Every screen, in the order of the menu. A new one is a line here and a file in screens/.
import type { ComponentType } from 'preact'
import { parse } from 'regexparam'
import { isOperator, may } from './api/session'
import { DeliveriesScreen } from './screens/deliveries/list'
import { DeliveryPage } from './screens/deliveries/page'
import { EventTypesScreen } from './screens/event_types/list'
import { EventTypePage, NewEventTypePage } from './screens/event_types/page'
import { EventsScreen } from './screens/events/list'
import { EventPage } from './screens/events/page'
import { PublishPage } from './screens/events/publish'
import { OperationsScreen } from './screens/operations/operations'
import { Overview } from './screens/overview/overview'
import { KeysScreen } from './screens/keys/list'
import { RefusalsScreen } from './screens/refusals/list'
import { RefusalPage } from './screens/refusals/page'
import { ReplaysScreen } from './screens/replays/list'
import { ReplayPage } from './screens/replays/page'
import { CreateSubscriptionPage } from './screens/subscriptions/create'
import { SubscriptionsScreen } from './screens/subscriptions/list'
import { SubscriptionPage } from './screens/subscriptions/page'
import { TenantsScreen } from './screens/tenants/list'
import { TenantPage } from './screens/tenants/page'
import type { IconName } from './ui/icons'

interface Screen {
  path: string
  title: string
  page: ComponentType<{ params: Record<string, string> }>
  /** In the menu, with this icon. */
  icon?: IconName
  /** Only for who sees all tenants. */
  operator?: boolean
  /** What somebody has to be allowed to do for it; to look, if it says nothing. */
  needs?: 'read' | 'staff' | 'admin' | 'publish' | 'manage'
}

const SCREENS: Screen[] = [
  { path: '/', title: 'Overview', icon: 'overview', page: Overview },
  { path: '/subscriptions', title: 'Subscriptions', icon: 'subscriptions', page: SubscriptionsScreen },
  // No id and no name has a `~`.
  { path: '/subscriptions/~new', title: 'New subscription', page: CreateSubscriptionPage, needs: 'manage' },
  { path: '/subscriptions/:subscription', title: 'Subscription', page: SubscriptionPage },
  { path: '/deliveries', title: 'Deliveries', icon: 'deliveries', page: DeliveriesScreen },
  { path: '/deliveries/:webhook/:subscription', title: 'Delivery', page: DeliveryPage },
  { path: '/events', title: 'Events', icon: 'events', page: EventsScreen },
  { path: '/publish', title: 'Publish an event', page: PublishPage, needs: 'publish' },
  { path: '/events/:webhook', title: 'Event', page: EventPage },
  { path: '/event-types', title: 'Event types', icon: 'types', page: EventTypesScreen },
  { path: '/event-types/~new', title: 'New event type', page: NewEventTypePage, needs: 'admin' },
  { path: '/event-types/:type', title: 'Event type', page: EventTypePage },
  { path: '/refusals', title: 'Refusals', icon: 'refusals', page: RefusalsScreen, needs: 'staff' },
  { path: '/refusals/:refusal', title: 'Refused request', page: RefusalPage, needs: 'staff' },
  { path: '/replays', title: 'Replays', icon: 'replays', page: ReplaysScreen },
  { path: '/replays/:replay', title: 'Replay', page: ReplayPage },
  { path: '/tenants', title: 'Tenants', icon: 'tenants', page: TenantsScreen, operator: true, needs: 'admin' },
  { path: '/tenants/:tenant', title: 'Tenant', page: TenantPage, operator: true, needs: 'admin' },
  { path: '/keys', title: 'Keys', icon: 'keys', page: KeysScreen, needs: 'admin' },
  { path: '/operations', title: 'Operations', icon: 'operations', page: OperationsScreen, operator: true, needs: 'staff' },
]

export const MENU = SCREENS.filter((screen) => screen.icon)

export const allowed = (screen: Screen) => (!screen.operator || isOperator.value) && may.value[screen.needs ?? 'read']

const PATTERNS = SCREENS.map((screen) => ({ screen, ...parse(screen.path) }))

export function screenAt(path: string): { screen: Screen; params: Record<string, string> } | null {
  for (const { screen, pattern, keys } of PATTERNS) {
    const found = pattern.exec(path)
    if (!found) continue
    try {
      return { screen, params: Object.fromEntries(keys.map((name, index) => [name, decodeURIComponent(found[index + 1] ?? '')])) }
    } catch {
      // `%` without two digits: nothing here makes such a link.
      return null
    }
  }
  return null
}
