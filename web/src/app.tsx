import { useEffect, useErrorBoundary } from 'preact/hooks'
import { ended, failure, isPortal, may, me, offered } from './api/session'
import { identify, isIdentified } from './api/sign_in'
import { firstY, href, isFramed, path, query } from './route'
import { allowed, screenAt } from './screens'
import { Ended } from './shell/ended'
import { Frame } from './shell/frame'
import { LeaveKey } from './shell/leave_key'
import { scrollTo } from './shell/scroll'
import { SignIn } from './shell/sign_in'
import { Empty, Failure } from './ui/states'
import { subject } from './ui/title'
import { Toasts } from './ui/toast'

export function App() {
  return (
    <>
      <Inside />
      <Toasts />
    </>
  )
}

function Inside() {
  // As of a page that is older than the server and meets a word that it does not know.
  const [error] = useErrorBoundary((error: unknown) => console.error(error))
  if (error) {
    return (
      <main class="alone">
        <Failure problem={{ title: 'The dashboard failed', detail: String(error), status: 0, code: 'internal' }} retry={() => window.location.reload()} />
      </main>
    )
  }
  if (offered.value) return <LeaveKey token={offered.value} />
  if (ended.value) return <Ended />
  if (failure.value) {
    return (
      <main class="alone">
        <Failure problem={failure.value} retry={() => void identify()} />
      </main>
    )
  }
  // In a frame nobody is asked for a key: the page around it has to bring a link.
  if (!me.value && isIdentified.value) return isFramed ? <Ended /> : <SignIn />
  if (!me.value) return <main class="alone" aria-busy="true" />
  return <Signed />
}

function Signed() {
  const found = screenAt(path.value)
  const title = [subject.value, found?.screen.title ?? 'Not found', isPortal.value ? 'Webhooks' : 'postrider'].filter(Boolean).join(' · ')
  useEffect(() => {
    document.title = title
  }, [title])
  useEffect(() => {
    const y = firstY()
    return y > 0 || !query.value.has('open') ? scrollTo(y) : undefined
  }, [path.value, query.value.get('cursor')])
  return (
    <Frame current={path.value}>
      {found && !allowed(found.screen) ? (
        <NotAllowed />
      ) : found ? (
        <found.screen.page key={path.value + (query.value.get('tenant') ?? '')} params={found.params} />
      ) : (
        <Empty icon="search" title="There is no such page" isPage>
          <a class="button" href={href('/')}>
            To the overview
          </a>
        </Empty>
      )}
    </Frame>
  )
}

function NotAllowed() {
  if (isPortal.value) return <Empty icon="info" title="This link does not open this page" />
  return (
    <Empty icon="keys" title="This key does not open this page">
      {may.value.publish && !may.value.read ? (
        <>
          <p>It is made for publishing.</p>
          <a class="button" href={href('/publish')}>
            Publish an event
          </a>
        </>
      ) : (
        <p>It needs a key with a wider scope, or an operator’s.</p>
      )}
    </Empty>
  )
}
