import { defineTable } from '../../contract.ts';

export const content_preferences = defineTable({
  about: 'Which kinds of content people prefer on which devices, by day',
  grain: 'one day x content type x event type x device',
  key: ['event_date', 'entity_type', 'event_type', 'device'],
  partition: 'event_date',
  cluster: ['entity_type', 'device'],
  reads: { 'website.events': 'same' },
  columns: {
    event_date: { type: 'DATE', required: true, about: 'UTC day of the events' },
    entity_type: { type: 'STRING', required: true, about: 'Kind of content' },
    event_type: { type: 'STRING', required: true, about: 'Type of the events' },
    device: {
      type: 'STRING',
      required: true,
      about: 'Kind of device, else the platform, else unknown',
    },
    events: { type: 'INT64', required: true, about: 'Events' },
    users: { type: 'INT64', required: true, about: 'Different readers' },
    share: {
      type: 'FLOAT64',
      about: "events / the day's events with content on this device; a device's shares add up to 1",
    },
  },
});
