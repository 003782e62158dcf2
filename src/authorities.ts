import { X509Certificate } from 'node:crypto';

const CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** What is wrong with the certificates of authorities, PEM, or null. OpenSSL takes a file that holds none for one of none. */
export function authoritiesFault(pem: string | Buffer): string | null {
  const certificates = String(pem).match(CERTIFICATE) ?? [];
  if (certificates.length === 0) return 'it holds no certificate in PEM form';
  for (const [i, one] of certificates.entries()) {
    try {
      new X509Certificate(one);
    } catch {
      return `its certificate ${i + 1} of ${certificates.length} is damaged`;
    }
  }
  return null;
}
