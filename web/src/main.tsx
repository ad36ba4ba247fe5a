import { render } from 'preact'
import { App } from './app'
import { takeToken } from './api/session'
import { identify } from './api/sign_in'
import { readTheme, showTheme } from './shell/theme'
import 'uplot/dist/uPlot.min.css'
import './style/base.css'
import './style/shell.css'
import './style/parts.css'
import './style/table.css'
import './style/screens.css'
import './style/forms.css'
import './style/admin.css'

showTheme()
takeToken()
void identify()
// A page around this one, or somebody with a new link, changes the fragment alone.
window.addEventListener('hashchange', () => {
  if (!/^#token=/.test(window.location.hash)) return
  readTheme()
  if (takeToken()) void identify()
})
render(<App />, document.getElementById('app') as HTMLElement)
