import type { ComponentChildren } from 'preact'

interface Tab<N extends string> {
  name: N
  label: ComponentChildren
}

/** Tabs as links, so that a view of a page has an address. */
export function Tabs<N extends string>({ tabs, current, link }: { tabs: Tab<N>[]; current: N; link: (name: N) => string }) {
  return (
    <nav class="tabs" aria-label="Parts of this page">
      {tabs.map((tab) => (
        <a key={tab.name} href={link(tab.name)} aria-current={tab.name === current ? 'page' : undefined}>
          {tab.label}
        </a>
      ))}
    </nav>
  )
}
