// Names a tenant by its id or external id, with those that fit the text so far.
import { useEffect, useId, useState } from 'preact/hooks'
import { get, type Problem, type Schemas } from '../../api/client'
import { Field } from '../../ui/field'

interface Props {
  value: string
  set: (value: string) => void
  problem: Problem | null
}

export function TenantField({ value, set, problem }: Props) {
  const list = useId()
  const [found, setFound] = useState<Schemas['Tenant'][]>([])
  useEffect(() => {
    const leaving = new AbortController()
    const timer = setTimeout(() => {
      get('/tenants', { query: { limit: 10, ...(value.trim() ? { q: value.trim() } : {}) }, signal: leaving.signal }).then(({ data }) => setFound(data), () => undefined)
    }, 150)
    return () => (clearTimeout(timer), leaving.abort())
  }, [value])
  const named = found.find((one) => one.id === value || one.external_id === value)
  return (
    <Field label="Tenant" pointer="/tenant" problem={problem} hint={named ? named.name : 'Its id or external id.'}>
      {(id, described) => (
        <>
          <input id={id} aria-describedby={described} class="mono" list={list} required spellcheck={false} autocomplete="off" value={value} onInput={(event) => set(event.currentTarget.value)} />
          <datalist id={list}>
            {found.map((one) => (
              <option key={one.id} value={one.external_id ?? one.id}>
                {one.name}
              </option>
            ))}
          </datalist>
        </>
      )}
    </Field>
  )
}
