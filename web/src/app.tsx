import { useEffect } from 'preact/hooks'
import { failure, me } from './api/session'
import { asked, identify } from './api/sign_in'
import { href, path, query } from './route'
import { screenAt } from './screens'
import { Frame } from './shell/frame'
import { SignIn } from './shell/sign_in'
import { Empty, Failure } from './ui/states'
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
  if (failure.value) {
    return (
      <main class="alone">
        <Failure problem={failure.value} retry={() => void identify()} />
      </main>
    )
  }
  if (!me.value) return asked.value ? <SignIn /> : <main class="alone" aria-busy="true" />
  return <Signed />
}

function Signed() {
  const found = screenAt(path.value)
  const title = found?.screen.title ?? 'Not found'
  useEffect(() => {
    document.title = `${title} · postrider`
  }, [title])
  useEffect(() => {
    if (!query.value.has('open')) window.scrollTo({ top: 0 })
  }, [path.value])
  return (
    <Frame current={path.value}>
      {found ? (
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
