package bitcoind

import (
	"context"
	"errors"
)

func findDocker(ctx context.Context, s *settings) (recipe, error) {
	return recipe{}, errors.New("not yet supported")
}
