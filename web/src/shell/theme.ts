// Light or dark: as the system says, until somebody chooses.
import { signal } from '@preact/signals'

const STORED = 'postrider.theme'
type Theme = 'light' | 'dark'

const system = window.matchMedia('(prefers-color-scheme: dark)')
const asked = new URLSearchParams(window.location.hash.split('?')[1]).get('theme')
const stored = asked ?? window.localStorage.getItem(STORED)

export const theme = signal<Theme>(stored === 'light' || stored === 'dark' ? stored : system.matches ? 'dark' : 'light')

system.addEventListener('change', () => {
  if (window.localStorage.getItem(STORED) || asked) return
  theme.value = system.matches ? 'dark' : 'light'
  showTheme()
})

export function showTheme(): void {
  document.documentElement.dataset.theme = theme.value
}

export function toggleTheme(): void {
  theme.value = theme.value === 'dark' ? 'light' : 'dark'
  window.localStorage.setItem(STORED, theme.value)
  showTheme()
}
