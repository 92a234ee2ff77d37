// Writes the archive of a chart as an OCI layout, with the types of `helm push`, which itself writes to a registry alone.
//
//	layout ARCHIVE FOLDER CREATED
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/registry"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: layout ARCHIVE FOLDER CREATED")
		os.Exit(2)
	}
	if err := write(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(ctx context.Context, archive, folder, created string) error {
	chart, err := loader.Load(archive)
	if err != nil {
		return err
	}
	metadata, err := json.Marshal(chart.Metadata)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	store, err := oci.New(folder)
	if err != nil {
		return err
	}
	config, err := oras.PushBytes(ctx, store, registry.ConfigMediaType, metadata)
	if err != nil {
		return err
	}
	layer, err := oras.PushBytes(ctx, store, registry.ChartLayerMediaType, content)
	if err != nil {
		return err
	}
	manifest, err := oras.PackManifest(ctx, store, oras.PackManifestVersion1_0, "", oras.PackManifestOptions{
		ConfigDescriptor: &config,
		Layers:           []ocispec.Descriptor{layer},
		ManifestAnnotations: map[string]string{
			ocispec.AnnotationCreated:     created,
			ocispec.AnnotationTitle:       chart.Metadata.Name,
			ocispec.AnnotationVersion:     chart.Metadata.Version,
			ocispec.AnnotationDescription: chart.Metadata.Description,
			ocispec.AnnotationLicenses:    "Apache-2.0",
		},
	})
	if err != nil {
		return err
	}
	if err := store.Tag(ctx, manifest, chart.Metadata.Version); err != nil {
		return err
	}
	fmt.Println(manifest.Digest)
	return nil
}
