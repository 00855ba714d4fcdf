/** `datasets` of the REST API. */
import type { Body, Call, Route, Service } from './service.ts';

export const datasetRoutes = (service: Service): readonly Route[] => [
  ['POST', /^datasets$/, (call) => insert(call, service)],
  ['GET', /^datasets$/, () => list(service)],
  ['GET', /^datasets\/(\w+)$/, ({ params: [id = ''] }) => resourceOf(id, service)],
  ['PATCH', /^datasets\/(\w+)$/, (call) => patch(call, service)],
  ['PUT', /^datasets\/(\w+)$/, (call) => patch(call, service)],
  [
    'DELETE',
    /^datasets\/(\w+)$/,
    ({ params: [id = ''], query }) =>
      service.state.datasets.remove(id, query.get('deleteContents') === 'true'),
  ],
];

async function insert({ body }: Call, service: Service): Promise<unknown> {
  const id = String((body['datasetReference'] as Body | undefined)?.['datasetId'] ?? '');
  await service.state.datasets.insert(id, body);
  return resourceOf(id, service);
}

async function patch({ body, params: [id = ''] }: Call, service: Service): Promise<unknown> {
  await service.state.datasets.put(id, { ...service.state.datasets.dataset(id).resource, ...body });
  return resourceOf(id, service);
}

function resourceOf(id: string, service: Service): unknown {
  const { resource } = service.state.datasets.dataset(id);
  return {
    kind: 'bigquery#dataset',
    location: service.location,
    ...resource,
    id: `${service.projectId}:${id}`,
    datasetReference: { projectId: service.projectId, datasetId: id },
  };
}

function list(service: Service): unknown {
  const datasets = service.store.all('dataset').map(({ id }) => resourceOf(id, service));
  return { kind: 'bigquery#datasetList', datasets };
}
