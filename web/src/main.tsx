import { render } from 'preact'
import { App } from './app'
import { takeToken } from './api/session'
import { identify } from './api/sign_in'
import { showTheme } from './shell/theme'
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
render(<App />, document.getElementById('app') as HTMLElement)
